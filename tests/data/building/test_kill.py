"""A build that was killed, wherever it was, ends with the bytes of one that was not."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gsv2.audio.wave import save_wave
from gsv2.data.building.build import build_corpus
from gsv2.data.building.stored_audio import StoredAudio
from gsv2.data.building.tasks import WorkFiles
from tests.support.processes import environment

KILLS = 10


def recordings(root: Path, clips: int, seconds: float) -> Path:
    rng = np.random.default_rng(0)
    for number in range(clips):
        path = root / "en" / f"s{number % 5}" / f"{number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        save_wave(path, 0.1 * rng.standard_normal(round(16_000 * seconds)), 16_000)
        path.with_suffix(".txt").write_text(f"hello number {number} of the test")
    (root / "en" / "s0" / "0.txt").unlink()
    return root


def content(out: Path) -> dict[Path, bytes]:
    return {p.relative_to(out): p.read_bytes() for p in out.rglob("*") if p.is_file()}


def test_whatever_a_kill_leaves_of_the_journal_the_bytes_are_the_same(tmp_path, monkeypatch):
    folder = recordings(tmp_path / "in", 8, 0.5)
    work = WorkFiles(tmp_path / "c")
    monkeypatch.setattr(WorkFiles, "remove", lambda self: None)
    monkeypatch.setattr(StoredAudio, "free", lambda self: None)
    build_corpus(folder, tmp_path / "c")
    whole, journal = content(tmp_path / "c"), work.journal.read_bytes()
    rng = np.random.default_rng(1)
    for number, length in enumerate(rng.integers(0, len(journal), KILLS).tolist()):
        out = tmp_path / f"c{number}"
        WorkFiles(out).journal.write_bytes(journal[:length])
        half = out.parent / f".{out.name}.building"
        half.mkdir()
        (half / "corpus.json").write_bytes(b"half of")
        build_corpus(folder, out)
        assert content(out) == whole, f"killed after {length} bytes"


@pytest.mark.slow
def test_processes_killed_at_ten_random_moments_end_with_the_same_bytes(tmp_path, monkeypatch):
    folder = recordings(tmp_path / "in", 80, 3.0)
    with monkeypatch.context() as patched:
        patched.setattr(WorkFiles, "remove", lambda self: None)
        build_corpus(folder, tmp_path / "whole")
    wanted = content(tmp_path / "whole")
    whole = WorkFiles(tmp_path / "whole").journal.stat().st_size
    arguments = ["--input", folder, "--out", tmp_path / "c", "--workers", "1"]
    command = [sys.executable, "-m", "gsv2", "corpus", "build", *map(str, arguments)]
    journal, building = WorkFiles(tmp_path / "c").journal, tmp_path / ".c.building"
    rng = np.random.default_rng(2)
    moments = [*np.sort(rng.uniform(0.02, 0.98, KILLS - 3)).tolist(), *rng.uniform(0, 0.3, 3)]
    for number, moment in enumerate(moments):
        process = subprocess.Popen(command, env=environment(), stderr=subprocess.DEVNULL)
        if number < KILLS - 3:  # when this share is encoded
            wait_until(process, lambda share=moment: size(journal) >= share * whole)
        else:  # so long after all is encoded, while shards, statistics and the page are written
            wait_until(process, lambda: size(journal) >= whole and building.is_dir())
            time.sleep(moment)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, f"kill {number} came too late"
        assert not (tmp_path / "c" / "report.html").exists()
    done = subprocess.run(command, env=environment(), text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    built = content(tmp_path / "c")
    assert built.pop(Path("report.html")), "the command makes the page too"
    assert built == wanted


def size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def wait_until(process: subprocess.Popen, happened: Callable[[], bool]) -> None:
    while not happened():
        assert process.poll() is None, "it ended before its moment"
        time.sleep(0.005)
