from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gsv2.folder_lock import InUseError
from gsv2.training.run_folder import lock
from gsv2.training.run_folder.lock import LOCK_FILE, sole_launch

HOLDER = """
import os, socket, sys, time
from pathlib import Path
from gsv2.training.run_folder.lock import sole_launch
if len(sys.argv) > 2:
    socket.gethostname = lambda: sys.argv[2]
with sole_launch(Path(sys.argv[1])):
    child = os.fork()  # as workers of a loader are
    if child:
        print(child, flush=True)
    time.sleep(60)
"""


@contextmanager
def held_by_another(run: Path, *host: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Yield a process that holds a run folder, here or as if on another host, and its child."""
    command = [sys.executable, "-c", HOLDER, str(run), *host]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        try:
            yield process, child
        finally:
            os.kill(child, signal.SIGKILL)
            process.kill()


def test_a_second_launch_is_told_who_has_the_folder_until_that_one_is_killed(
    tmp_path: Path,
) -> None:
    run = tmp_path / "runs" / "a"
    with held_by_another(run) as (holder, _):
        who = f"{run} is in use by process {holder.pid} on {socket.gethostname()}, since 20"
        with pytest.raises(InUseError, match=who) as error, sole_launch(run):
            pytest.fail("two launches in one folder")
        assert "\n" not in str(error.value)
        assert json.loads((run / LOCK_FILE).read_text())["pid"] == holder.pid  # it keeps its file

        holder.kill()  # its child lives on, as workers do for some seconds
        holder.wait()
        with sole_launch(run):
            assert json.loads((run / LOCK_FILE).read_text())["pid"] == os.getpid()


def test_a_lock_of_a_machine_that_died_is_waited_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "_RETRY_SEC", 0.1)
    with held_by_another(tmp_path, "node7") as (holder, _):
        threading.Timer(2, holder.kill).start()
        began = time.monotonic()
        with sole_launch(tmp_path):
            assert 1 < time.monotonic() - began < 20
    assert caplog.text.count(f"in use by process {holder.pid} on node7") == 1
    assert "trying again for up to 180 s" in caplog.text


def test_a_launch_on_another_machine_is_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "_RETRY_SEC", 0.05)
    monkeypatch.setattr(lock, "PATIENCE_SEC", 0.2)
    with (
        held_by_another(tmp_path, "node7"),
        pytest.raises(InUseError, match="on node7, since"),
        sole_launch(tmp_path),
    ):
        pytest.fail("two launches in one folder")


def test_nothing_is_left_of_a_launch_that_ends_and_the_next_one_may_come(tmp_path: Path) -> None:
    run = tmp_path / "a"
    with pytest.raises(ZeroDivisionError), sole_launch(run):
        raise ZeroDivisionError
    assert not run.exists()
    with sole_launch(run):
        (run / "metrics.jsonl").write_text("{}\n")
    assert [path.name for path in run.iterdir()] == ["metrics.jsonl"]


def test_a_file_that_was_taken_away_while_it_was_opened_is_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lockf, num_calls = fcntl.lockf, 0

    def lock_late(descriptor: int, how: int) -> None:
        nonlocal num_calls
        num_calls += 1
        if num_calls == 1:  # the launch before ends between our open and our lock
            (tmp_path / LOCK_FILE).unlink()
        lockf(descriptor, how)

    monkeypatch.setattr(fcntl, "lockf", lock_late)
    with sole_launch(tmp_path):
        assert json.loads((tmp_path / LOCK_FILE).read_text())["pid"] == os.getpid()
    assert num_calls == 2


def test_a_file_system_without_locks_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(descriptor: int, how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", refuse)
    with sole_launch(tmp_path):
        pass
    assert "cannot be locked" in caplog.text


@pytest.mark.parametrize("run", ["file", "file/below", "/proc/gsv2"])
def test_a_folder_that_cannot_be_is_named(tmp_path: Path, run: str) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / run
    with pytest.raises(OSError, match=f"run folder {path} cannot be used"), sole_launch(path):
        pytest.fail("there is no folder")
