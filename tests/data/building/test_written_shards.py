"""Shards of a build that was ended: kept, and the disk holds the corpus once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gsv2.audio.wave import save_wave
from gsv2.data.building import recordings as reading
from gsv2.data.building.build import build_corpus
from gsv2.data.building.build_run import BuildRun
from gsv2.data.building.encode import ShardConfig
from gsv2.data.building.journal import Journal
from gsv2.data.building.stored_audio import punch_hole
from gsv2.data.building.written_shards import WRITTEN_NAME, WrittenShards
from gsv2.data.corpus.manifest import read_manifest
from gsv2.data.corpus.shard_writer import ShardWriter

CLIPS = 40
SECONDS = 2.0
SMALL = ShardConfig(shard_mb=0.4, block_clips=2)


class KilledError(BaseException):
    """What ends a build at a moment of a test's choice."""


def recordings(root: Path, clips: int = CLIPS) -> Path:
    rng = np.random.default_rng(0)
    for number in range(clips):
        path = root / "en" / f"s{number % 3}" / f"{number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        save_wave(path, 0.1 * rng.standard_normal(round(16_000 * SECONDS)), 16_000)
        path.with_suffix(".txt").write_text(f"hello number {number} of the test")
    return root


def content(out: Path) -> dict[str, bytes]:
    return {str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*") if p.is_file()}


def on_disk(folder: Path) -> int:
    return sum(p.stat().st_blocks * 512 for p in folder.rglob("*") if p.is_file())


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    return recordings(tmp_path_factory.mktemp("recordings"))


@pytest.fixture(scope="module")
def whole(source, tmp_path_factory) -> dict[str, bytes]:
    """An unbroken build."""
    out = tmp_path_factory.mktemp("whole") / "c"
    build_corpus(source, out, config=SMALL)
    return content(out)


def kill_at_shard(monkeypatch, number: int) -> None:
    """End a build when so many shards are whole and noted."""
    add, count = WrittenShards.add, 0

    def adding(self, *arguments):
        nonlocal count
        add(self, *arguments)
        count += 1
        if count == number:
            raise KilledError

    monkeypatch.setattr(WrittenShards, "add", adding)


def test_the_disk_holds_the_corpus_once_and_a_shard_more(source, whole, tmp_path, monkeypatch):
    with (tmp_path / "probe").open("w+b") as file:
        file.write(bytes(9))
        file.flush()
        if not punch_hole(file, 0, 4):
            pytest.skip("this file system has no holes")
    work, peak = tmp_path / "work", 0
    work.mkdir()

    def watch(kind, name):
        method = getattr(kind, name)

        def watched(self, *arguments, **options):
            nonlocal peak
            peak = max(peak, on_disk(work))
            result = method(self, *arguments, **options)
            peak = max(peak, on_disk(work))
            return result

        monkeypatch.setattr(kind, name, watched)

    watch(Journal, "add")
    watch(ShardWriter, "finish")
    watch(WrittenShards, "add")
    build_corpus(source, work / "c", config=SMALL)
    assert content(work / "c") == whole
    tars = [len(body) for name, body in whole.items() if name.endswith(".tar")]
    assert len(tars) >= 4
    corpus, rest = sum(tars), CLIPS * 2 * 4096 + 200_000  # blocks that are begun, and indexes
    assert corpus < peak <= corpus + max(tars) + rest
    assert [path.name for path in work.iterdir() if path.name != ".c.lock"] == ["c"]


def test_a_build_that_ended_while_it_wrote_goes_on_after_its_whole_shards(
    source, whole, tmp_path, monkeypatch
):
    out = tmp_path / "c"
    for number in (1, 2):
        with monkeypatch.context() as patch:
            kill_at_shard(patch, number)
            with pytest.raises(KilledError):
                build_corpus(source, out, config=SMALL)
        assert (tmp_path / ".c.building" / WRITTEN_NAME).is_file()
    first = min((tmp_path / ".c.building" / "en").glob("*.tar"))
    stamp = first.stat().st_mtime_ns

    def no_reading(*_):
        raise AssertionError("every recording is encoded")

    monkeypatch.setattr(reading, "load_wave", no_reading)
    build_corpus(source, out, config=SMALL)
    assert content(out) == whole
    assert (out / "en" / first.name).stat().st_mtime_ns == stamp


@pytest.mark.parametrize("change", ["input", "cut", "lost"])
def test_what_was_given_back_and_is_of_no_use_is_read_again(tmp_path, monkeypatch, change):
    source, out, said = recordings(tmp_path / "in", 12), tmp_path / "c", []
    with monkeypatch.context() as patch:
        kill_at_shard(patch, 2)
        with pytest.raises(KilledError):
            build_corpus(source, out, config=SMALL)
    config = SMALL
    if change == "input":
        (source / "en" / "s0" / "0.txt").unlink()
    elif change == "cut":
        config = ShardConfig(shard_mb=0.4, block_clips=2, seed=1)
    else:
        for path in (tmp_path / ".c.building").glob("*"):
            path.unlink() if path.is_file() else None
    build_corpus(source, out, config=config, run=BuildRun(say=said.append))
    build_corpus(source, tmp_path / "anew", config=config)
    assert content(out) == content(tmp_path / "anew")
    assert any("is read again" in line for line in said) == (change == "input")
    assert read_manifest(out).num_clips == 12 - (change == "input")
