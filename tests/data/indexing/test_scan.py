import hashlib
import os

import pyarrow.parquet as pq
import pytest

from gsv2.data.corpus.index_columns import ARCHIVE_SCHEMA, CLIP_SCHEMA
from gsv2.data.indexing.format import ArchiveFormat
from gsv2.data.indexing.scan import is_current, read_scan, scan_tar
from tests.support.archives import json_bytes, said, write_tar

ENGLISH = ArchiveFormat(language="en")


def scan(tar, form=ENGLISH):
    index = tar.with_suffix(".parquet")
    scan_tar(tar, tar.stem, index, form)
    return pq.read_table(index), read_scan(index)


def test_our_own_tar_gets_the_index_that_its_writer_wrote(tiny_corpus, tmp_path):
    """Nothing but block numbers may differ: two blocks of one speaker can meet."""
    for tar in sorted(tiny_corpus.path.rglob("*.tar")):
        name = tar.relative_to(tiny_corpus.path).with_suffix("").as_posix()
        scan_tar(tar, name, tmp_path / "x.parquet", ArchiveFormat())
        ours = pq.read_table(tar.with_suffix(".parquet"))
        found = pq.read_table(tmp_path / "x.parquet")
        assert found["text"].null_count == found.num_rows
        columns = [name for name in CLIP_SCHEMA.names if name != "block"]
        assert found.select(columns).equals(ours.select(columns))


def test_the_scan_describes_the_tar_and_leaves_it_alone(tmp_path):
    tar = write_tar(tmp_path / "a.tar", said("k1"), said("k2", seconds=1.0), said("bad", "?"))
    content, before = tar.read_bytes(), tar.stat().st_mtime_ns
    table, found = scan(tar)
    assert table.schema.equals(ARCHIVE_SCHEMA)
    assert table["key"].to_pylist() == ["k1", "k2"]
    assert (found.sha256, found.num_bytes) == (hashlib.sha256(content).hexdigest(), len(content))
    assert (found.seconds, found.damage) == (1.5, "")
    assert found.rejected == [["bad", "no speech in the text"]]
    assert (tar.read_bytes(), tar.stat().st_mtime_ns) == (content, before)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.parquet", "a.tar"]


def test_blocks_are_clips_of_one_voice_that_follow_each_other(tmp_path):
    speakers = ["ann", "ann", "bob", "ann", "", "", "ann", "ann", "ann"]
    clips = [
        said(f"r{number // 2}_{number}", json=json_bytes(speaker=speaker))
        for number, speaker in enumerate(speakers)
    ]
    tar = write_tar(tmp_path / "a.tar", *clips)
    form = ArchiveFormat(language="en", block_clips=2)
    assert scan(tar, form)[0]["block"].to_pylist() == [0, 0, 1, 2, 3, 4, 5, 5, 6]
    form = ArchiveFormat(language="en", recording_pattern="r(.)")
    assert scan(tar, form)[0]["block"].to_pylist() == [0, 0, 1, 2, 3, 3, 4, 4, 4]


def test_members_apart_are_read_by_offset_and_a_key_used_twice_is_left_out(tmp_path):
    whole = said("a")
    split = {"__key__": "b", "wav": whole["wav"]}, {"__key__": "b", "txt": b"Late."}
    tar = write_tar(tmp_path / "a.tar", whole, split[0], said("c"), split[1], said("a"))
    table, found = scan(tar)
    assert table["key"].to_pylist() == ["b", "c"]
    assert [key for key, _ in found.rejected] == ["a"]
    assert "two members of one suffix" in found.rejected[0][1]


@pytest.mark.parametrize(("cut", "kept"), [(0, 0), (30_000, 1), ("end", 1), ("more", 2)])
def test_a_damaged_tar_gives_the_clips_before_the_damage(tmp_path, cut, kept):
    """The clip that is cut off is not among them, whichever members of it are left."""
    tar = write_tar(tmp_path / "a.tar", said("k1"), said("k2"))
    content = tar.read_bytes()
    end = len(content.rstrip(b"\0")) + 511 & ~511
    damaged = {"end": content[:end], "more": content + b"more"}
    tar.write_bytes(damaged.get(cut) or content[:cut])
    content = tar.read_bytes()
    table, found = scan(tar)
    assert table["key"].to_pylist() == ["k1", "k2"][:kept]
    assert found.damage
    left_out = ["k1", "k2"][kept : 2 if cut else 0]
    assert found.rejected == [[key, "cut off by the damage of its tar"] for key in left_out]
    assert found.sha256 == hashlib.sha256(content).hexdigest()


def test_an_index_is_current_until_the_tar_or_the_format_changes(tmp_path):
    tar = write_tar(tmp_path / "a.tar", said("k1"))
    index = tar.with_suffix(".parquet")
    assert not is_current(tar, index, ENGLISH)
    scan(tar)
    assert is_current(tar, index, ENGLISH)
    assert not is_current(tar, index, ArchiveFormat(language="de"))
    os.utime(tar, ns=(0, 0))
    assert not is_current(tar, index, ENGLISH)
    index.write_bytes(b"PAR1 no")
    assert read_scan(index) is None


def test_an_index_appears_whole_or_not_at_all(tmp_path, monkeypatch):
    tar = write_tar(tmp_path / "a.tar", said("k1"))
    scan(tar)
    before = tar.with_suffix(".parquet").read_bytes()

    def fail(table, path, **options):
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(pq, "write_table", fail)
    with pytest.raises(OSError, match="disk full"):
        scan(tar)
    assert tar.with_suffix(".parquet").read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.parquet", "a.tar"]
