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
from gsv2.data.building.build_run import BuildRun
from gsv2.data.building.stored_audio import StoredAudio
from gsv2.data.building.tasks import WorkFiles
from gsv2.data.corpus.manifest import CorpusError
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


def test_a_build_that_ended_behind_its_corpus_makes_what_is_missing(tmp_path):
    def killed(*_):
        raise KeyboardInterrupt

    def written(out, sounds):
        (out / "report.html").write_text(f"{sorted(sounds)}")

    folder, more = recordings(tmp_path / "in", 4, 0.5), tmp_path / "more"
    recordings(more, 6, 0.4)
    for name in ("whole", "broken"):
        for source, add in ((folder, False), (more, True)):
            if name == "broken":
                with pytest.raises(KeyboardInterrupt):
                    build_corpus(source, tmp_path / name, run=BuildRun(report=killed, add=add))
            build_corpus(source, tmp_path / name, run=BuildRun(report=written, add=add))
    assert content(tmp_path / "broken") == content(tmp_path / "whole")
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]
    with pytest.raises(CorpusError, match="exists already"):
        build_corpus(folder, tmp_path / "whole")


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
        elif number < KILLS - 1:  # so long after all is encoded, while shards are written
            wait_until(process, lambda: size(journal) >= whole and building.is_dir())
            time.sleep(moment)
        else:  # the corpus is there, but not its page
            wait_until(process, (tmp_path / "c" / "corpus.json").exists)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, f"kill {number} came too late"
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
