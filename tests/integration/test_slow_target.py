"""A target that takes minutes for a checkpoint holds nothing up."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from gsv2.train import EXIT_REQUEUE
from gsv2.training.checkpoints.checkpoint import checkpoint_folder, list_steps
from gsv2.training.checkpoints.mirror import CheckpointMirror
from gsv2.training.run_folder.records import read_records
from tests.support.forked_runs import ForkedRuns, codes_of
from tests.support.rank_server import STILL_RUNNING
from tests.support.same_run import assert_same_run

LEAVE_SEC = 20
SLOW_SEC = 60


def targeted(folder: Path) -> tuple[dict[str, Any], CheckpointMirror]:
    """Return a spec and the target that it names."""
    url = f"file://{folder}/there"
    return {"checkpoint": {"target": url}}, CheckpointMirror(f"{url}/run")


def test_a_run_that_is_told_to_leave_does_not_wait_for_a_slow_target_nor_does_its_process(
    tmp_path: Path, forked_runs: ForkedRuns, unbroken: Path
) -> None:
    spec, target = targeted(tmp_path)
    fault = {"where": "step", "step": 4, "what": signal.SIGTERM}
    told = {"slow_target": SLOW_SEC, "fault": fault, "ends_as_programs_do": True, **spec}
    (child,) = forked_runs.start(tmp_path, **told)
    while not checkpoint_folder(tmp_path / "run", 2).exists():
        assert child.poll() == STILL_RUNNING
        time.sleep(0.02)
    start = time.monotonic()
    assert child.wait(SLOW_SEC) == EXIT_REQUEUE
    assert time.monotonic() - start < LEAVE_SEC
    errors = child.errors
    assert "the same command goes on from step 4" in errors
    given_up = "CHECKPOINT COPY GIVEN UP: the target lacks that of step 2, 4"
    assert given_up in " ".join(errors.split())
    assert list_steps(tmp_path / "run") == [2, 4]
    assert target.steps() == []
    (tmp_path / "there" / "run" / "checkpoints" / "step_00000001").mkdir()  # a copy broken off

    assert forked_runs.run(tmp_path, **spec) == [0]
    assert target.steps() == [4, 6]
    assert target._there.names() == ["step_00000004", "step_00000006"]
    assert_same_run(tmp_path, unbroken)


@pytest.mark.parametrize("world", [1, 2])
def test_a_run_that_is_told_to_leave_while_its_end_waits_for_the_target_leaves(
    tmp_path: Path, forked_runs: ForkedRuns, world: int
) -> None:
    spec, target = targeted(tmp_path)
    children = forked_runs.start(tmp_path, world=world, slow_target=SLOW_SEC, slice=0.5, **spec)
    while not checkpoint_folder(tmp_path / "run", 6).exists():
        time.sleep(0.02)
    time.sleep(0.2)
    os.kill(children[-1].pid, signal.SIGTERM)
    start = time.monotonic()
    assert codes_of(children) == [EXIT_REQUEUE] * world
    assert time.monotonic() - start < LEAVE_SEC
    assert target.steps() == []
    assert forked_runs.run(tmp_path, world=world, **spec) == [0] * world
    assert target.steps() == [6]


def test_steps_do_not_wait_for_a_slow_target(tmp_path: Path, forked_runs: ForkedRuns) -> None:
    spec, target = targeted(tmp_path)
    spec["checkpoint"]["every_steps"] = 1
    start = time.monotonic()
    assert forked_runs.run(tmp_path, slow_target=1.0, slice=0.5, **spec) == [0]
    assert time.monotonic() - start > 3 * 1.0  # the end waits
    rows = read_records(tmp_path / "run" / "metrics.jsonl")
    assert sum(row["checkpoint/blocked_sec"] for row in rows) < 1.0
    assert list_steps(tmp_path / "run") == target.steps() == [4, 5, 6]


def test_ranks_do_not_take_the_main_one_for_dead_while_it_fetches(
    tmp_path: Path, forked_runs: ForkedRuns
) -> None:
    spec, _ = targeted(tmp_path)
    assert forked_runs.run(tmp_path, trainer={"max_steps": 2}, **spec) == [0]
    shutil.rmtree(tmp_path / "run")
    limits = {"trainer": {"max_steps": 4, "rank_timeout_sec": 3.0}, "slice": 0.5}
    assert forked_runs.run(tmp_path, world=2, slow_target=4.0, **limits, **spec) == [0, 0]
