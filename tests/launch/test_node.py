from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gsv2.training.faults.signals import EXIT_REQUEUE
from tests.support.processes import ROOT, environment

pytestmark = pytest.mark.long

NODE = str(ROOT / "launch" / "node.py")
PLACE = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
TELL = (
    f"import json, os; place = json.dumps([os.environ[name] for name in {PLACE}]); "
    "os.write(1, place.encode() + b'\\n')"  # at once: ranks share the pipe
)
LEAVE = (
    "import os, sys; sys.exit([int(c) for c in sys.argv[1].split(',')][int(os.environ['RANK'])])"
)


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


def test_the_code_is_that_of_the_trainer() -> None:
    assert f"EXIT_REQUEUE = {EXIT_REQUEUE}\n" in Path(NODE).read_text()
