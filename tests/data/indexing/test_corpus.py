import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gsv2.audio.level import apply_level, measure_level
from gsv2.audio.wave import load_wave
from gsv2.data.config import DataConfig, SourceConfig
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.corpus.manifest import CorpusError, is_complete, read_manifest
from gsv2.data.indexing import corpus as indexing
from gsv2.data.indexing.corpus import index_corpus
from gsv2.data.indexing.format import ArchiveFormat
from gsv2.data.plan.plan import Plan
from gsv2.data.process_pool import ShardPool
from gsv2.data.stream.loader import make_loader
from gsv2.data.stream.reader import read_clips
from tests.support.archives import audio_bytes, json_bytes, said, write_tar

ENGLISH = ArchiveFormat(language="en")


def open_index(root):
    return CorpusIndex.open(SourceConfig(path=str(root)))


def rejected(root):
    lines = (root / "rejected.jsonl").read_text().splitlines()
    return [tuple(json.loads(line).values()) for line in lines]


def many_formats(root):
    """A WebDataset of four formats and rates, transcripts in .txt or JSON, one tar in a folder."""
    audio = [
        ("wav", audio_bytes(0.6, 22_050, "WAV")),
        ("mp3", audio_bytes(0.7, 44_100, "MP3")),
        ("ogg", audio_bytes(0.8, 24_000, "OGG", "VORBIS")),
        ("opus", audio_bytes(0.9, 48_000, "OGG", "OPUS")),
        ("flac", audio_bytes(1.0, 16_000, "FLAC")),
    ]
    clips = [
        {"__key__": f"k{number}", suffix: content, "txt": f"Text {number}.".encode(), "jpg": b"?"}
        for number, (suffix, content) in enumerate(audio)
    ]
    clips[1] |= {"json": json_bytes(sentence="Satz 1.", spk=9, lang="de")}
    write_tar(root / "a.tar", *clips[:3])
    write_tar(root / "sub" / "a.tar", *clips[3:])
    return audio


def test_a_webdataset_of_others_is_read_like_our_own(tmp_path):
    """Texts come from the index, waves at 32 kHz from the tars, which stay as they were."""
    audio = many_formats(tmp_path)
    tars = {tar: tar.read_bytes() for tar in tmp_path.rglob("*.tar")}
    form = ArchiveFormat(
        language="en", text_field="sentence", speaker_field="spk", language_field="lang"
    )
    manifest = index_corpus(tmp_path, form)
    assert {tar: tar.read_bytes() for tar in tmp_path.rglob("*.tar")} == tars
    assert [entry.name for entry in manifest.shards] == ["a", "sub/a"]
    assert manifest.languages["en"] == {"clips": 4, "hours": pytest.approx(3.3 / 3600)}
    assert (manifest.languages["de"]["clips"], manifest.num_speakers) == (1, 1)
    assert read_manifest(tmp_path) == manifest
    clips = list(read_clips(open_index(tmp_path), ["audio"]))
    assert [clip.text for clip in clips] == ["Text 0.", "Satz 1.", "Text 2.", "Text 3.", "Text 4."]
    assert [clip.language for clip in clips] == ["en", "de", "en", "en", "en"]
    assert [clip.speaker for clip in clips] == ["", "9", "", "", ""]
    for clip, (_, content) in zip(clips, audio, strict=True):
        wave = load_wave(content, 32_000)
        expected = apply_level(wave, measure_level(wave, 32_000))
        np.testing.assert_array_equal(clip.wave, expected)
    lengths = open_index(tmp_path).numbers("num_samples")
    assert np.abs(lengths - [len(clip.wave) for clip in clips]).max() <= 1


def test_a_plan_trains_on_a_webdataset_of_others(tmp_path):
    """Every clip once an epoch, at 32 kHz, with its text; nothing is bad."""
    many_formats(tmp_path)
    index_corpus(tmp_path, ArchiveFormat(language="en", speaker="ann"))
    config = DataConfig(sources=[SourceConfig(path=str(tmp_path))], lanes=1, max_frames=300)
    plan = Plan(open_index(tmp_path), config, seed=0, members=("audio",))
    texts, loader = [], iter(make_loader(plan))
    while len(texts) < 10:
        batch = next(loader)
        assert batch.bad == ()
        texts += batch.texts
    assert sorted(texts[:5]) == sorted(texts[5:]) == [f"Text {n}." for n in range(5)]


def test_indexes_without_texts_read_as_null(tiny_corpus):
    index = open_index(tiny_corpus.path)
    assert index.strings("text").null_count == index.num_clips


def test_processes_find_the_same(tmp_path):
    for number in range(5):
        write_tar(tmp_path / f"{number}.tar", said(f"k{number}"), said(f"bad{number}", "?"))
    one = index_corpus(tmp_path, ENGLISH)
    first = rejected(tmp_path)
    for index in tmp_path.glob("*.parquet"):
        index.unlink()
    ticks = []
    two = index_corpus(
        tmp_path, ENGLISH, pool=ShardPool(workers=2, progress=lambda *n: ticks.append(n))
    )
    assert (two, rejected(tmp_path)) == (one, first)
    assert two.rejected == {"no speech in the text": 5}
    assert ticks == [(n, 5) for n in range(1, 6)]


def test_only_new_and_changed_tars_are_scanned(tmp_path, monkeypatch):
    scanned = []
    scan = indexing.scan_tar
    monkeypatch.setattr(
        indexing, "scan_tar", lambda tar, *rest: scanned.append(tar.stem) or scan(tar, *rest)
    )
    write_tar(tmp_path / "a.tar", said("k1"), said("bad", "?"))
    write_tar(tmp_path / "b.tar", said("k2"))
    before = index_corpus(tmp_path, ENGLISH)
    assert index_corpus(tmp_path, ENGLISH) == before
    assert rejected(tmp_path) == [("a", "bad", "no speech in the text")]
    write_tar(tmp_path / "b.tar", said("k2"), said("k3"))
    write_tar(tmp_path / "c.tar", said("k4"))
    assert index_corpus(tmp_path, ENGLISH).num_clips == 4
    assert scanned == ["a", "b", "b", "c"]


def test_a_scan_that_was_interrupted_goes_on_and_is_no_corpus_before(tmp_path, monkeypatch):
    for number in range(3):
        write_tar(tmp_path / f"{number}.tar", said(f"k{number}"))
    whole = index_corpus(tmp_path, ENGLISH)
    os.utime(tmp_path / "1.tar", ns=(0, 0))
    scan = indexing.scan_tar

    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(indexing, "scan_tar", interrupt)
    with pytest.raises(KeyboardInterrupt):
        index_corpus(tmp_path, ENGLISH)
    assert not is_complete(tmp_path)
    monkeypatch.setattr(indexing, "scan_tar", scan)
    assert index_corpus(tmp_path, ENGLISH) == whole


def test_indexes_can_go_to_another_folder_with_links(tmp_path):
    write_tar(tmp_path / "in/en/a.tar", said("k1"))
    before = sorted((tmp_path / "in").rglob("*"))
    index_corpus(tmp_path / "in", ENGLISH, out=tmp_path / "out")
    assert sorted((tmp_path / "in").rglob("*")) == before
    (clip,) = read_clips(open_index(tmp_path / "out"), ["audio"])
    assert (clip.shard, clip.text) == ("en/a", "Hello there.")
    index_corpus(tmp_path / "in", ENGLISH, out=tmp_path / "out")
    with pytest.raises(CorpusError, match="must not lie inside"):
        index_corpus(tmp_path / "in", ENGLISH, out=tmp_path / "in/en/x")
    (tmp_path / "out/en/a.tar").unlink()
    (tmp_path / "out/en/a.tar").write_bytes(b"something else")
    with pytest.raises(CorpusError, match="in the place of a link"):
        index_corpus(tmp_path / "in", ENGLISH, out=tmp_path / "out")


def test_what_others_made_is_not_replaced_unasked(tmp_path, make_corpus):
    ours = make_corpus(tmp_path / "ours", num_clips=2)
    with pytest.raises(CorpusError, match=r"corpus\.json was made by another tool"):
        index_corpus(ours, ArchiveFormat())
    assert index_corpus(ours, ArchiveFormat(), overwrite=True).num_clips == 2
    write_tar(tmp_path / "x/a.tar", said("k"))
    (tmp_path / "x/a.parquet").write_bytes(b"data of others")
    with pytest.raises(CorpusError, match=r"a\.parquet is damaged or was made by another tool"):
        index_corpus(tmp_path / "x", ENGLISH)
    assert (tmp_path / "x/a.parquet").read_bytes() == b"data of others"


def test_what_cannot_be_a_corpus_is_one_clear_error(tmp_path, monkeypatch):
    with pytest.raises(CorpusError, match="must be a local folder"):
        index_corpus(tmp_path / "nowhere", ENGLISH)
    with pytest.raises(CorpusError, match=r"no \*\.tar below it"):
        index_corpus(tmp_path, ENGLISH)
    (tmp_path / "a.tar.gz").touch()
    with pytest.raises(CorpusError, match=r"a\.tar\.gz; compressed tars cannot be read"):
        index_corpus(tmp_path, ENGLISH)
    write_tar(tmp_path / "a.tar", said("k", "?!"))
    with pytest.raises(CorpusError, match="no usable clip"):
        index_corpus(tmp_path, ENGLISH)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(CorpusError, match=r"is read-only; .* --out"):
        index_corpus(Path(tmp_path), ENGLISH)


@pytest.mark.parametrize("damage", ["column", "type", "text", "pages"])
def test_indexing_refuses_a_damaged_index_by_name(tmp_path, damage):
    write_tar(tmp_path / "a.tar", *(said(f"k{n}") for n in range(4)))
    index_corpus(tmp_path, ENGLISH)
    path = tmp_path / "a.parquet"
    table, content = pq.read_table(path), path.read_bytes()
    if damage == "column":
        pq.write_table(table.drop_columns(["key"]), path)
    elif damage == "type":
        numbers = pa.array(range(4))
        pq.write_table(table.set_column(0, "key", numbers), path)
    elif damage == "text":
        path.write_bytes(b"a,b\n")
    else:
        path.write_bytes(content[:4] + b"\xff" * 60 + content[64:])
    with pytest.raises(CorpusError, match=r"a\.parquet"):
        index_corpus(tmp_path, ENGLISH)
