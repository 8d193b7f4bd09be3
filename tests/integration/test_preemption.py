"""SIGTERM and SIGUSR1: everything done is saved, and the run goes on as if nothing had been."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from gsv2.train import EXIT_REQUEUE
from gsv2.training.checkpoints.checkpoint import list_steps
from gsv2.training.run_folder.records import read_records
from tests.support.forked_runs import ForkedRuns
from tests.support.processes import ROOT, end, environment, start_torchrun, start_two_ranks
from tests.support.same_run import assert_same_run

pytestmark = pytest.mark.long


@pytest.mark.parametrize(
    ("where", "step", "number", "saved"),
    [
        ("fetch", 4, signal.SIGTERM, [2, 3]),
        ("step", 3, signal.SIGUSR1, [2, 3]),
        ("validation", 3, signal.SIGTERM, [2, 3]),
        ("step", 4, signal.SIGTERM, [2, 4]),
    ],
)
def test_a_run_that_is_told_to_leave_saves_and_goes_on_bit_for_bit(
    tmp_path: Path,
    forked_runs: ForkedRuns,
    unbroken: Path,
    where: str,
    step: int,
    number: int,
    saved: list[int],
) -> None:
    """Nothing done is lost: not the step under way, nor the row whose validation was broken off."""
    fault = {"where": where, "step": step, "what": number}
    (child,) = forked_runs.start(tmp_path, fault=fault)
    assert child.wait() == EXIT_REQUEUE
    assert list_steps(tmp_path / "run") == saved
    assert f"the same command goes on from step {saved[-1]}" in child.errors
    assert not (tmp_path / "run" / "failure").exists()
    assert forked_runs.run(tmp_path) == [0]
    assert_same_run(tmp_path, unbroken)


def test_a_run_that_is_told_before_its_first_step_leaves_at_once(
    tmp_path: Path, forked_runs: ForkedRuns
) -> None:
    for where, step in (("start", 0), ("fetch", 1)):
        fault = {"where": where, "step": step, "what": signal.SIGTERM}
        assert forked_runs.run(tmp_path, fault=fault) == [EXIT_REQUEUE]
        assert list_steps(tmp_path / "run") == []


def test_a_run_broken_off_in_its_last_validation_makes_up_for_it(
    tmp_path: Path, forked_runs: ForkedRuns, unbroken: Path
) -> None:
    fault = {"where": "validation", "step": 6, "what": signal.SIGTERM}
    spec = {"checkpoint": {"best": "validation/generator/error"}}
    assert forked_runs.run(tmp_path, fault=fault, **spec) == [EXIT_REQUEUE]
    for _ in range(2):  # then it is finished
        assert forked_runs.run(tmp_path, **spec) == [0]
        assert_same_run(tmp_path, unbroken)
    state = json.loads((tmp_path / "run/checkpoints/step_00000006/state.json").read_text())
    assert set(state["values"]) == {"validation/generator/error"}


def test_a_second_sigterm_does_not_cost_the_checkpoint_that_is_under_way(
    tmp_path: Path, forked_runs: ForkedRuns
) -> None:
    """Four seconds apart, beyond the echo of a launcher."""
    fault = {"where": "step", "step": 3, "what": signal.SIGTERM}
    spec = {"checkpoint": {"every_steps": 100}, "slow_write_sec": 5}
    (child,) = forked_runs.start(tmp_path, fault=fault, **spec)
    while not (tmp_path / "writing").exists():
        time.sleep(0.02)
    time.sleep(4)
    os.kill(child.pid, signal.SIGTERM)
    assert child.wait() == EXIT_REQUEUE
    assert list_steps(tmp_path / "run") == [3]


def test_wandb_that_does_not_finish_does_not_keep_a_run_that_is_told_to_leave(
    tmp_path: Path, forked_runs: ForkedRuns
) -> None:
    fault = {"where": "step", "step": 3, "what": signal.SIGTERM}
    began = time.monotonic()
    (child,) = forked_runs.start(
        tmp_path, fault=fault, tracking={"wandb": "offline"}, slow_wandb_sec=60
    )
    assert child.wait() == EXIT_REQUEUE
    assert time.monotonic() - began < 20
    assert list_steps(tmp_path / "run")[-1] == 3
    assert "`wandb sync" in child.errors


def test_ctrl_c_leaves_at_once_with_130(tmp_path: Path, forked_runs: ForkedRuns) -> None:
    fault = {"where": "step", "step": 4, "what": signal.SIGINT}
    (child,) = forked_runs.start(tmp_path, fault=fault)
    assert child.wait() == 130
    assert list_steps(tmp_path / "run") == [2]


@pytest.mark.parametrize("where", ["fetch", "step", "validation"])
def test_a_signal_to_one_of_two_ranks_stops_both_alike(
    tmp_path: Path, forked_runs: ForkedRuns, unbroken: Path, where: str
) -> None:
    fault = {"where": where, "step": 3, "what": signal.SIGTERM, "rank": 1}
    start = time.monotonic()
    assert forked_runs.run(tmp_path, world=2, fault=fault) == [EXIT_REQUEUE] * 2
    assert time.monotonic() - start < 20
    assert list_steps(tmp_path / "run")[-1] == (2 if where == "fetch" else 3)
    assert forked_runs.run(tmp_path, world=2) == [0, 0]
    assert_same_run(tmp_path, unbroken, 1e-5)


@pytest.mark.slow
def test_a_real_run_whose_loader_workers_die_of_the_same_signal_saves_and_goes_on(
    tmp_path: Path, tiny_corpus: Any
) -> None:
    """`python -m gsv2.train` with two workers; torchrun signals the process group of a rank."""
    model = {"codes": {"codebook_size": 16, "dim": 8}, "width": 8, "num_blocks": 1}
    values = {
        "stage": "quantizer",
        "run": {"dir": str(tmp_path), "name": "run"},
        "data": {
            "sources": [{"path": str(tiny_corpus.path)}],
            "lanes": 2,
            "max_frames": 300,
            "workers": 2,
        },
        "model": {**model, "kernel_size": 3},
        "trainer": {"max_steps": 100_000, "log_every_steps": 1},
    }
    config = tmp_path / "config.yaml"
    config.write_text(json.dumps(values))
    command = [sys.executable, "-m", "gsv2.train", str(config)]
    metrics = tmp_path / "run" / "metrics.jsonl"
    steps: list[int] = []
    for num_rows in (5, 10):
        run = subprocess.Popen(
            command, cwd=ROOT, env=environment(), stderr=subprocess.PIPE, start_new_session=True
        )
        while run.poll() is None and (
            not metrics.exists() or metrics.read_bytes().count(b"\n") < sum(steps) + num_rows
        ):
            time.sleep(0.02)
        os.killpg(run.pid, signal.SIGTERM)
        start = time.monotonic()
        _, errors = run.communicate(timeout=60)
        assert run.returncode == EXIT_REQUEUE, errors.decode()
        assert time.monotonic() - start < 20
        assert b"Traceback" not in errors, errors.decode()
        steps.append(list_steps(tmp_path / "run")[-1])
        assert steps[-1] == read_records(metrics)[-1]["step"]


@pytest.mark.parametrize(
    ("launcher", "number"),
    [
        ("accelerate", signal.SIGUSR1),  # which it handles with the agent of torchrun
        pytest.param("accelerate", signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param("torchrun", signal.SIGUSR1, marks=pytest.mark.slow),
        pytest.param("torchrun", signal.SIGTERM, marks=pytest.mark.slow),
    ],
)
def test_a_signal_to_the_launcher_saves_on_all_ranks_before_it_kills_them(
    tmp_path: Path, launcher: str, number: signal.Signals
) -> None:
    """The launcher leaves with 1 whatever its ranks say; they say it in the log.

    Without the variable that README names, SIGUSR1 kills the launcher and leaves its ranks behind.
    """
    spec = {
        "folder": str(tmp_path),
        "trainer": {"max_steps": 100_000, "validate_every_steps": 0},
        "checkpoint": {"every_steps": 100_000},
    }
    program = ("tests.support.faulty_run", json.dumps(spec))
    handled = {"PET_SIGNALS_TO_HANDLE": "SIGTERM,SIGINT,SIGUSR1"}
    if launcher == "accelerate":
        process = start_two_ranks(*program, **handled)
    else:
        process = start_torchrun(2, *program, **handled)
    metrics = tmp_path / "run" / "metrics.jsonl"
    while process.poll() is None and not (metrics.exists() and metrics.stat().st_size > 3000):
        time.sleep(0.05)
    start = time.monotonic()
    process.send_signal(number)
    try:
        _, errors = process.communicate(timeout=60)
    finally:
        end(process)
    assert time.monotonic() - start < 20
    (step,) = list_steps(tmp_path / "run")
    assert step == read_records(metrics)[-1]["step"]
    assert errors.count(f"the same command goes on from step {step}") == 2
    assert not (tmp_path / "run" / "failure").exists()
    assert process.returncode == 1  # launch/node.py passes 85 on
