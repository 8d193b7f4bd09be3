"""launch/node.py: ranks that are told to leave, die, hang or are left alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gsv2.training.faults.signals import EXIT_REQUEUE
from tests.launch.test_node import NODE, TELL, start
from tests.support.processes import ROOT, environment

pytestmark = pytest.mark.long

WAIT = """
import os, pathlib, signal, sys, time
def leave(number, frame):
    time.sleep(0.3)
    sys.exit(85)
for number in (signal.SIGTERM, signal.SIGUSR1):
    signal.signal(number, leave)
pathlib.Path(sys.argv[1], str(os.getpid())).touch()
time.sleep(60)
"""

UNREADY = """
import pathlib, sys, time
pathlib.Path(sys.argv[1], __import__("os").environ["RANK"]).touch()
time.sleep(60)
"""
"""Has no handlers yet, as ranks that import have none."""
STUCK = """
import ctypes, os, pathlib, sys, time
run = pathlib.Path(sys.argv[1])
if os.environ["RANK"] == "0":
    while not (run / "stuck").exists():
        time.sleep(0.02)
    sys.exit(3)
from gsv2.training.faults.failure import stacks_at_sigterm
with stacks_at_sigterm(run, 1):
    mutex, lock = ctypes.create_string_buffer(64), ctypes.CDLL(None).pthread_mutex_lock
    lock(mutex)
    (run / "stuck").touch()
    lock(mutex)  # in native code for good: no Python runs
"""
IMPATIENT = f"""
import importlib.util, sys
spec = importlib.util.spec_from_file_location("node", {NODE!r})
node = sys.modules["node"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(node)
node._KILL_SEC = 0.5
sys.exit(node.main(sys.argv[1:]))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_ranks_are_told_to_leave_and_waited_for(tmp_path: Path, number: signal.Signals) -> None:
    process = start("--ranks", "2", "--", "-c", WAIT, str(tmp_path))
    _wait_for_files(tmp_path, 2)
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode == EXIT_REQUEUE


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_ranks_that_die_of_what_they_were_told_had_nothing_to_save(
    tmp_path: Path, number: signal.Signals
) -> None:
    """In an import, or a preflight, nobody has handlers: the job is to be started again."""
    process = start("--ranks", "2", "--", "-c", UNREADY, str(tmp_path))
    _wait_for_files(tmp_path, 2)
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode == EXIT_REQUEUE


def test_a_rank_that_waits_for_one_that_has_left_is_no_failure(tmp_path: Path) -> None:
    """One dies in its imports, the other hangs where all should meet: told to leave, both."""
    body = "import signal, os\nif os.environ['RANK'] == '1': signal.signal(10, signal.SIG_IGN)\n"
    options = ["--ranks", "2", "--grace-sec", "0.1", "--", "-c", body + UNREADY, str(tmp_path)]
    process = subprocess.Popen([sys.executable, "-c", IMPATIENT, *options], env=environment())
    _wait_for_files(tmp_path, 2)
    process.send_signal(signal.SIGUSR1)
    assert process.wait(timeout=30) == EXIT_REQUEUE


def test_a_rank_that_somebody_else_kills_has_failed(tmp_path: Path) -> None:
    process = start("--ranks", "1", "--", "-c", WAIT.replace("leave)", "0)"), str(tmp_path))
    (rank,) = _wait_for_files(tmp_path, 1)
    os.kill(rank, signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGTERM


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 85), (signal.SIGINT, 130)])
def test_a_signal_while_gpus_are_counted_starts_no_rank(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    slow = "import pathlib, sys, time; pathlib.Path(sys.argv[-1], '1').touch(); time.sleep(0.5)"
    counting = IMPATIENT.replace(
        "node._KILL_SEC", f"node._count_gpus = lambda: exec({slow!r})\nnode._KILL_SEC"
    )
    command = [sys.executable, "-c", counting, "--", "-c", TELL, str(tmp_path)]
    process = subprocess.Popen(command, env=environment(), text=True, stdout=subprocess.PIPE)
    _wait_for_files(tmp_path, 1)
    process.send_signal(number)
    out, _ = process.communicate(timeout=30)
    assert (process.returncode, out) == (code, "")


def test_a_rank_that_hangs_beside_a_failed_one_leaves_where_it_stood(tmp_path: Path) -> None:
    command = [sys.executable, "-c", IMPATIENT, "--ranks", "2", "--grace-sec", "0.1", "--"]
    done = subprocess.run(
        [*command, "-c", STUCK, str(tmp_path)], env=environment(), cwd=ROOT, timeout=60
    )
    assert done.returncode == 3
    left = (tmp_path / "failure" / "sigterm-rank1.txt").read_text()
    assert 'File "<string>", line 13 in <module>' in left


def test_a_killed_rank_ends_the_others_after_a_while(tmp_path: Path) -> None:
    process = start("--ranks", "2", "--grace-sec", "0.2", "--", "-c", WAIT, str(tmp_path))
    victim, other = _wait_for_files(tmp_path, 2)
    os.kill(victim, signal.SIGKILL)
    process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGKILL
    assert not Path(f"/proc/{other}").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="prctl")
def test_ranks_leave_when_their_launcher_is_killed(tmp_path: Path) -> None:
    process = start("--ranks", "1", "--", "-c", WAIT, str(tmp_path))
    (rank,) = _wait_for_files(tmp_path, 1)
    process.kill()
    process.communicate(timeout=30)  # the rank holds the pipes until it is gone
    deadline = time.monotonic() + 10
    while _is_alive(rank) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _is_alive(rank)


def _wait_for_files(folder: Path, count: int) -> list[int]:
    deadline = time.monotonic() + 30
    while len(names := sorted(file.name for file in folder.iterdir())) < count:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return [int(name) for name in names]


def _is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that nobody waits for any more does not."""
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"
