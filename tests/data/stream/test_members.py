import json
import shutil
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gsv2.data.config import DataConfig, SourceConfig
from gsv2.data.corpus.decode import ClipError
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.plan.plan import Plan
from gsv2.data.stream import members as members_module
from gsv2.data.stream.members import MemberIndex, MemberPlace
from gsv2.data.stream.reader import MappedReader, read_clips

SAID = {"text": "from  the index", "language": "cy", "speaker": "bob"}


def content(place: MemberPlace) -> bytes:
    with Path(place.tar).open("rb") as file:
        file.seek(place.offset)
        return file.read(place.length)


@pytest.fixture
def archives(tiny_corpus, tmp_path):
    """A corpus whose index holds what is said in all clips but the first of each shard."""
    shutil.copytree(tiny_corpus.path, tmp_path / "c")
    for path in (tmp_path / "c").rglob("*.parquet"):
        rows = pq.read_table(path).to_pylist()
        for number, row in enumerate(rows):
            row["text"] = None
            if number:
                row |= {**SAID, "json_offset": None, "json_length": None, "json_crc32": None}
        schema = pq.read_schema(path).append(pa.field("text", pa.string()))
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
    return CorpusIndex.open(SourceConfig(path=str(tmp_path / "c")))


def test_every_member_lies_where_the_index_says(tiny_corpus):
    index = CorpusIndex.open(tiny_corpus.source_with_codes)
    places = MemberIndex(index, ["audio", "codes"])
    magic = {"json": b"{", "audio": b"fLaC", "codes": b"\x93NUMPY"}
    for row in range(index.num_clips):
        located = places.locate(row)
        assert [place.member for place in located] == ["json", "audio", "codes"]
        for place in located:
            assert content(place).startswith(magic[place.member])
            place.check(content(place))
        assert places.key(row) == index.key(row)


def test_what_is_cut_or_changed_fails_its_check(tiny_corpus):
    place = MemberIndex(CorpusIndex.open(tiny_corpus.source), ["audio"]).locate(0)[1]
    whole = content(place)
    with pytest.raises(ClipError, match="tar ends before the clip"):
        place.check(whole[:-1])
    with pytest.raises(ClipError, match="audio differs from its checksum"):
        place.check(whole[:-1] + bytes([whole[-1] ^ 1]))


def test_codes_alone_come_with_the_json_beside_them(tiny_corpus):
    index = CorpusIndex.open(tiny_corpus.source_with_codes)
    for place in MemberIndex(index, ["codes"]).locate(5):
        assert place.tar == index.shard_of(5).codes_tar


def test_what_the_index_says_replaces_the_json(archives):
    places = MemberIndex(archives, ["audio"])
    reader = MappedReader(archives, ["audio"])
    said = [places.shard(row).transcript(row) for row in range(archives.num_clips)]
    assert said.count(None) == len(archives.shards)
    for row, clip in enumerate(read_clips(archives, ["audio"])):
        if said[row] is None:
            assert clip.text == json.loads(bytes(reader.read(row)["json"]))["text"]
        else:
            assert set(reader.read(row)) == {"audio"}
            assert (clip.text, clip.language, clip.speaker) == ("from the index", "cy", "bob")


def test_columns_of_few_clips_stay_in_memory(tiny_corpus, monkeypatch):
    monkeypatch.setattr(members_module, "_MAX_CLIPS", 13)
    index = CorpusIndex.open(tiny_corpus.source, tiny_corpus.source)
    places = MemberIndex(index, ["audio"])
    for row in [*range(index.num_clips), 0, 23, 0]:
        assert places.key(row) == index.key(row)
    kept = places._shards.keys()
    assert sum(index.shards[number].num_clips for number in kept) <= 13


def test_a_lane_that_moves_on_lets_go_of_its_shards(bare_corpus):
    source = bare_corpus([50] * 12)
    config = DataConfig(sources=[source], lanes=2, max_frames=4000, window_clips=40)
    plan = Plan(CorpusIndex.open(source), config, 0, ("audio",))
    places = MemberIndex(plan.index, ("audio",))
    for planned in islice(plan.iterate(), 400):
        places.follow(planned.window)
        for row in planned.window.rows.tolist():
            places.key(row)
        kept = set(places._shards.keys())
        wanted = {plan.index.shard_of(row).number for row in planned.window.rows}
        assert wanted <= kept
        assert len(kept) <= 8, "those of two windows of 40 clips"
    assert places._shards.total_cost == sum(plan.index.shards[number].num_clips for number in kept)
