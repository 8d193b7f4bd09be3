import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from gsv2.data.config import SourceConfig
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.corpus.manifest import CorpusError, read_manifest


@pytest.fixture
def copy(tiny_corpus, tmp_path):
    """A copy of the tiny corpus that a test may damage, and its source."""
    shutil.copytree(tiny_corpus.path, tmp_path / "c")
    shutil.copytree(tiny_corpus.codes, tmp_path / "codes")
    return SourceConfig(path=str(tmp_path / "c"), codes=str(tmp_path / "codes"))


def test_rows_are_numbered_over_shards_and_sources(tiny_corpus):
    one = CorpusIndex.open(tiny_corpus.source)
    two = CorpusIndex.open(tiny_corpus.source, tiny_corpus.source)
    assert (one.num_clips, two.num_clips) == (12, 24)
    assert two.strings("key").to_pylist() == 2 * one.strings("key").to_pylist()
    assert two.shard_of(11).source == 0
    assert two.shard_of(12).source == 1
    assert one.numbers("duration_sec").sum() == pytest.approx(
        3600 * read_manifest(tiny_corpus.path).hours
    )


def test_codes_of_the_sidecar_stand_beside_their_clips(tiny_corpus):
    plain = CorpusIndex.open(tiny_corpus.source)
    index = CorpusIndex.open(tiny_corpus.source_with_codes)
    frames = index.numbers("num_samples") // 640
    assert (plain.numbers("num_code_frames") == -1).all()
    assert (index.numbers("num_code_frames") == -(-frames // 2)).all()
    assert (index.numbers("codes_offset") > 0).all()
    assert (plain.quantizer, index.quantizer) == (None, "0" * 64)


def test_clips_that_the_sidecar_lacks_have_null_codes(copy):
    path = CorpusIndex.open(copy).shards[0].codes_index
    table = pq.read_table(path)
    pq.write_table(table.slice(1), path)
    index = CorpusIndex.open(copy)
    frames = index.numbers("num_code_frames")
    assert frames[0] == -1
    assert (frames[1:] > 0).all()


def test_only_asked_columns_of_asked_shards_are_read(tiny_corpus, monkeypatch):
    asked = []
    read = pq.ParquetFile.read

    def spy(file, columns, **options):
        asked.append(columns)
        return read(file, columns, **options)

    monkeypatch.setattr(pq.ParquetFile, "read", spy)
    index = CorpusIndex.open(tiny_corpus.source_with_codes)
    assert asked == []
    index.read(index.shards[1], ["duration_sec"])
    assert asked == [["duration_sec"]]
    index.read(index.shards[1], ["duration_sec", "num_code_frames"])
    assert asked[1:] == [["key", "duration_sec"], ["key", "num_code_frames"]]


@pytest.mark.parametrize("damage", ["shuffled", "unknown"])
def test_codes_in_another_order_than_the_clips_are_an_error(copy, damage):
    path = CorpusIndex.open(copy).shards[0].codes_index
    table = pq.read_table(path)
    if damage == "shuffled":
        table = table.take([1, 0, *range(2, table.num_rows)])
    else:
        keys = ["nobody", *table["key"].to_pylist()[1:]]
        table = table.set_column(0, "key", [keys])
    pq.write_table(table, path)
    with pytest.raises(CorpusError, match="in their order"):
        CorpusIndex.open(copy).numbers("codes_offset")


def edit_manifest(folder, **changes):
    path = f"{folder}/corpus.json"
    with open(path) as file:
        values = json.load(file)
    with open(path, "w") as file:
        json.dump({**values, **changes}, file)


def test_codes_made_from_other_tars_are_an_error(copy, tiny_corpus):
    shards = json.loads((tiny_corpus.codes / "corpus.json").read_text())["shards"]
    edit_manifest(copy.codes, shards=[{**s, "source_sha256": "f"} for s in shards])
    with pytest.raises(CorpusError, match="made from another tar"):
        CorpusIndex.open(copy)


def test_codes_of_two_quantizers_are_an_error(copy, tiny_corpus):
    edit_manifest(copy.codes, quantizer="1" * 64)
    with pytest.raises(CorpusError, match="different quantizers"):
        CorpusIndex.open(copy, tiny_corpus.source_with_codes)


def test_what_is_missing_is_named(copy, tmp_path, tiny_corpus):
    with pytest.raises(CorpusError, match="no such folder"):
        CorpusIndex.open(SourceConfig(path=str(tmp_path / "nowhere")))
    with pytest.raises(CorpusError, match="must hold codes, but holds audio"):
        CorpusIndex.open(SourceConfig(path=copy.path, codes=copy.path))
    index = CorpusIndex.open(copy)
    Path(index.shards[1].tar).unlink()
    with pytest.raises(CorpusError, match=f"{index.shards[1].tar} is missing"):
        index.check_tars()
    Path(index.shards[0].tar_index).unlink()
    with pytest.raises(CorpusError, match=r"parquet is missing"):
        index.numbers("block")
    Path(index.shards[0].tar_index).write_bytes(b"PAR1 no")
    with pytest.raises(CorpusError, match=r"cannot be read"):
        index.numbers("block")


def test_a_tar_of_another_size_is_warned_of_before_anything_is_read(copy, caplog):
    index = CorpusIndex.open(copy)
    index.check_tars()
    assert caplog.records == []
    cut, changed = Path(index.shards[0].tar), Path(index.shards[1].codes_tar)
    for tar in (cut, changed):
        tar.write_bytes(tar.read_bytes()[:700])
    index.check_tars(("codes",))
    assert [record.getMessage().split(": ")[0] for record in caplog.records] == [
        f"shard {changed} has 700 bytes, but corpus.json says {index.shards[1].codes_num_bytes}"
    ]
    index.check_tars(("audio",), part=0, parts=len(index.shards))
    assert f"shard {cut} has 700 bytes" in caplog.text


def test_an_index_that_does_not_fit_its_corpus_is_an_error(copy):
    path = CorpusIndex.open(copy).shards[0].tar_index
    pq.write_table(pq.read_table(path).slice(1), path)
    with pytest.raises(CorpusError, match=r"rows as corpus.json says"):
        CorpusIndex.open(copy).numbers("block")


def test_the_summary_names_hours_and_languages(tiny_corpus):
    summary = CorpusIndex.open(tiny_corpus.source_with_codes).summary()
    assert "12 clips" in summary
    assert "en, zh" in summary
    assert "codes of quantizer 000000000000" in summary
