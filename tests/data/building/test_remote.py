"""Recordings that lie afar, and a corpus that is to lie there."""

from __future__ import annotations

import json

import fsspec
import numpy as np
import pytest
import soundfile

from gsv2.audio.wave import save_wave
from gsv2.data.building.build import build_corpus
from gsv2.data.building.build_run import BuildRun
from gsv2.data.building.remote import RemoteOutput, is_remote
from gsv2.data.corpus.manifest import CorpusError
from gsv2.storage.object_store import ObjectFolder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Clips with texts, one that is no sound, and a segment of a longer recording by a list."""
    root, rng = tmp_path_factory.mktemp("recordings"), np.random.default_rng(0)
    for number in range(6):
        path = root / "en" / f"s{number % 2}" / f"{number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        save_wave(path, 0.1 * rng.standard_normal(16_000), 16_000)
        path.with_suffix(".txt").write_text(f"hello number {number}")
    (root / "en" / "s0" / "2.wav").write_bytes(b"no sound")
    (root / "en" / "s0" / "4.wav").write_bytes(b"")
    return root


def shards(out):
    return {
        p.relative_to(out): p.read_bytes()
        for p in out.rglob("*")
        if p.suffix in (".tar", ".parquet")
    }


@pytest.mark.parametrize("workers", [0, 1])
def test_a_remote_input_makes_the_shards_of_a_local_one(folder, tmp_path, workers):
    build_corpus(folder, tmp_path / "local")
    seen = []
    run = BuildRun(workers=workers, progress=lambda *n: seen.append(n))
    build_corpus(f"file://{folder}", tmp_path / "remote", run=run)
    assert shards(tmp_path / "remote") == shards(tmp_path / "local")
    assert seen == [(n, 6) for n in range(1, 7)]
    named = [
        [json.loads(line) for line in (tmp_path / name / "rejected.jsonl").read_text().splitlines()]
        for name in ("local", "remote")
    ]
    assert [(r["key"], r["reason"]) for r in named[0]] == [
        (r["key"], r["reason"]) for r in named[1]
    ]
    assert [r["file"] for r in named[1]] == [f"file://{r['file']}" for r in named[0]]
    assert not any("gsv2-" in str(r) or ".remote.input" in str(r) for r in named[1])
    assert {p.name for p in tmp_path.iterdir() if not p.name.endswith(".lock")} == {
        "local",
        "remote",
    }


def test_segments_of_a_remote_recording_are_cut_from_one_copy(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    (tmp_path / "in").mkdir()
    soundfile.write(tmp_path / "in" / "long.flac", 0.1 * rng.standard_normal(160_000), 16_000)
    rows = [
        {"audio": "long.flac", "text": f"part {n}", "offset": n, "duration": 1.0, "speaker": "ann"}
        for n in range(5)
    ]
    (tmp_path / "in" / "list.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    fetched, fetch = [], ObjectFolder.fetch
    monkeypatch.setattr(
        ObjectFolder,
        "fetch",
        lambda self, path, file: fetched.append(path) or fetch(self, path, file),
    )
    from gsv2.data.building.readers.reader import ReadingOptions

    reading = ReadingOptions(language="en")
    made = build_corpus(f"file://{tmp_path}/in/list.jsonl", tmp_path / "c", reading=reading)
    assert made.num_clips == 5
    assert fetched.count("long.flac") == 1
    build_corpus(tmp_path / "in" / "list.jsonl", tmp_path / "d", reading=reading)
    assert shards(tmp_path / "c") == shards(tmp_path / "d")


def test_archives_afar_and_places_that_are_empty_are_one_line(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.tar").write_bytes(bytes(10_240))
    with pytest.raises(CorpusError, match=r"in/a\.tar: tars and Parquet files are read from this"):
        build_corpus(f"file://{tmp_path}/in", tmp_path / "c")
    with pytest.raises(CorpusError, match="input memory://nowhere holds no file"):
        build_corpus("memory://nowhere", tmp_path / "c")
    assert is_remote("s3://a/b")
    assert not is_remote("a/b")
    assert not is_remote(tmp_path)


def test_a_corpus_is_moved_once_it_is_whole_and_an_ended_move_goes_on(
    folder, tmp_path, monkeypatch
):
    url = "memory://test_remote/corpora/mine"
    output = RemoteOutput(url=url, work=tmp_path)
    assert output.out == tmp_path / "mine"
    output.check()
    build_corpus(folder, output.out)
    wanted = {
        str(p.relative_to(output.out)): p.read_bytes() for p in output.out.rglob("*") if p.is_file()
    }
    put = ObjectFolder.put

    def failing(self, file, path):
        if path.endswith(".tar"):
            raise OSError("the line is cut")
        put(self, file, path)

    with monkeypatch.context() as patch:
        patch.setattr(ObjectFolder, "put", failing)
        with pytest.raises(OSError, match="the line is cut"):
            output.move()
    assert output.is_built
    output.check()
    output.move()
    assert not output.is_built
    assert not output.out.exists()
    remote = ObjectFolder(url)
    assert {name: remote.read(name) for name in remote.find()} == wanted
    with pytest.raises(CorpusError, match="exists already"):
        output.check()
    RemoteOutput(url=url, work=tmp_path, overwrite=True).check()
    fsspec.filesystem("memory").rm("/test_remote", recursive=True)
