from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gsv2.training.faults.signals import EXIT_REQUEUE
from tests.integration.launch import ROOT, environment

NODE = str(ROOT / "launch" / "node.py")
PLACE = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
TELL = (
    f"import json, os; place = json.dumps([os.environ[name] for name in {PLACE}]); "
    "os.write(1, place.encode() + b'\\n')"  # at once: ranks share the pipe
)
LEAVE = (
    "import os, sys; sys.exit([int(c) for c in sys.argv[1].split(',')][int(os.environ['RANK'])])"
)
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
from gsv2.training.faults.failure import stacks_at_sigterm
run = pathlib.Path(sys.argv[1])
if os.environ["RANK"] == "0":
    while not (run / "stuck").exists():
        time.sleep(0.02)
    sys.exit(3)
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


def start(*arguments: str, **variables: str) -> subprocess.Popen[str]:
    command = [sys.executable, NODE, *arguments]
    foreign = ("PET_", "SLURM_", "OMP_")
    own = {key: value for key, value in environment().items() if not key.startswith(foreign)}
    env = {**own, **variables}
    return subprocess.Popen(
        command, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def run(*arguments: str, **variables: str) -> tuple[int, list[str], str]:
    process = start(*arguments, **variables)
    out, errors = process.communicate(timeout=60)
    return process.returncode, out.splitlines(), errors


def places(lines: list[str]) -> list[tuple[str, ...]]:
    return sorted(tuple(json.loads(line)) for line in lines)


def test_ranks_are_numbered_over_the_nodes() -> None:
    place = ("--nodes", "3", "--node-rank", "1", "--ranks", "2", "--main", "host:1234")
    code, lines, _ = run(*place, "--", "-c", TELL)
    assert code == 0
    assert places(lines) == [
        ("2", "0", "6", "2", "host", "1234"),
        ("3", "1", "6", "2", "host", "1234"),
    ]


def test_a_trainjob_says_where_the_node_is() -> None:
    """Kubeflow Trainer's variables; PET_NPROC_PER_NODE may be a word."""
    pod = {
        "PET_NNODES": "2",
        "PET_NODE_RANK": "1",
        "PET_MASTER_ADDR": "run-node-0-0.run",
        "PET_MASTER_PORT": "29500",
    }
    _, lines, _ = run("--", "-c", TELL, **pod, PET_NPROC_PER_NODE="2")
    assert [place[:3] for place in places(lines)] == [("2", "0", "4"), ("3", "1", "4")]
    assert places(lines)[0][4:] == ("run-node-0-0.run", "29500")
    _, lines, _ = run("--", "-c", TELL, **pod, PET_NPROC_PER_NODE="auto")
    assert places(lines)[0][:3] == ("1", "0", "2")


def test_a_task_of_srun_says_where_the_node_is() -> None:
    step = {"SLURM_STEP_NUM_NODES": "4", "SLURM_NODEID": "3"}
    _, lines, _ = run("--ranks", "1", "--main", "n0:5", "--", "-c", TELL, **step)
    assert places(lines) == [("3", "0", "4", "1", "n0", "5")]


def test_one_node_takes_a_free_port_and_one_thread_a_rank() -> None:
    _, lines, _ = run("--ranks", "2", "--", "-c", TELL)
    first, second = (int(place[-1]) for place in places(lines))
    assert first == second > 1023
    threads = "import os; os.write(1, os.environ['OMP_NUM_THREADS'].encode() + b'\\n')"
    assert run("--ranks", "2", "--", "-c", threads)[1] == ["1", "1"]
    assert run("--ranks", "2", "--", "-c", threads, OMP_NUM_THREADS="4")[1] == ["4", "4"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--nodes", "2", "--node-rank", "0"), "need --main HOST:PORT"),
        (("--nodes", "2", "--node-rank", "2", "--main", "h:1"), "node 2 of 2"),
        (("--main", "host"), "must be HOST:PORT"),
        (("--ranks", "0"), "with 0 ranks"),
    ],
)
def test_a_place_that_cannot_be_is_one_line(arguments: tuple[str, ...], message: str) -> None:
    given = arguments if "--ranks" in arguments else ("--ranks", "1", *arguments)
    code, _, errors = run(*given, "--", "-c", "")
    assert code == 2
    assert message in errors
    assert len(errors.splitlines()) == 1


@pytest.mark.parametrize(
    ("codes", "expected"),
    [("0,0", 0), ("85,85", 85), ("85,0", 85), ("1,85", 1), ("85,1", 1), ("0,7", 7)],
)
def test_it_ends_as_its_ranks_end(codes: str, expected: int) -> None:
    """85 only if no rank ended otherwise: a run that fails must not be started for ever."""
    assert run("--ranks", "2", "--", "-c", LEAVE, codes)[0] == expected


def test_torchrun_hides_the_code(tmp_path: Path) -> None:
    """Why there is launch/node.py."""
    script = tmp_path / "leave.py"
    script.write_text(f"import sys; sys.exit({EXIT_REQUEUE})")
    command = ["-m", "torch.distributed.run", "--nnodes=1", "--rdzv-endpoint=localhost:0", script]
    done = subprocess.run([sys.executable, *command], env=environment(), capture_output=True)
    assert done.returncode == 1


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


def test_the_code_is_that_of_the_trainer() -> None:
    assert f"EXIT_REQUEUE = {EXIT_REQUEUE}\n" in Path(NODE).read_text()


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
