"""What `tests.support.processes` starts does not outlive its test."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.support.processes import finish, finish_together

SLEEPER = "import time; time.sleep(60)"
LAUNCHER = f"""
import pathlib, subprocess, sys
ranks = [subprocess.Popen([sys.executable, "-c", {SLEEPER!r}], start_new_session=own)
         for own in (True, False)]
pathlib.Path(sys.argv[1]).write_text(" ".join(str(rank.pid) for rank in ranks))
ranks[0].wait()
"""
"""Starts a rank as torchrun does, in a session of its own, and a worker in its own group."""


def start(*words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", *words]
    return subprocess.Popen(command, text=True, stderr=subprocess.PIPE, start_new_session=True)


def test_ranks_end_with_a_launcher_that_takes_too_long(tmp_path: Path) -> None:
    file = tmp_path / "pids"
    launcher = start(LAUNCHER, str(file))
    while not (file.exists() and len(file.read_text().split()) == 2):
        assert launcher.poll() is None
        time.sleep(0.01)
    ranks = [psutil.Process(int(pid)) for pid in file.read_text().split()]
    with pytest.raises(subprocess.TimeoutExpired):
        finish(launcher, 0.1)
    launcher.stderr.close()  # a rank that is left would keep it open
    _, alive = psutil.wait_procs(ranks, timeout=5)
    left = [rank.pid for rank in alive if rank.status() != psutil.STATUS_ZOMBIE]
    assert not left, "ranks are left behind"


def test_the_first_failure_ends_those_that_wait_for_it() -> None:
    processes = [start(SLEEPER), start("raise SystemExit('it broke')")]
    began = time.monotonic()
    with pytest.raises(AssertionError, match="it broke"):
        finish_together(processes, 50)
    assert time.monotonic() - began < 20
    assert all(process.returncode is not None for process in processes)
