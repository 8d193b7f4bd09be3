"""What three weeks bring: kills, spikes, ranks that are gone or late, disks that are full."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from gsv2.train import EXIT_REQUEUE
from gsv2.training.checkpoints.checkpoint import list_steps, verify_checkpoint
from gsv2.training.run_folder.records import read_records
from tests.support.forked_runs import ForkedRuns, codes_of
from tests.support.same_run import assert_same_run

pytestmark = pytest.mark.long

KILLED = -signal.SIGKILL


def test_a_run_killed_anywhere_in_a_checkpoint_goes_on_bit_for_bit(
    tmp_path: Path, forked_runs: ForkedRuns, unbroken: Path
) -> None:
    """At every so many-th opening, renaming or removal of a file of a checkpoint."""
    spec = {"checkpoint": {"keep_last": 1}}
    num_killed = 0
    for number in range(1, 1000, 5):
        folder = tmp_path / str(number)
        (code,) = forked_runs.run(folder, kill_at_event=number, **spec)
        assert code in (0, KILLED)
        if code == 0:
            break
        num_killed += 1
        world = 2 if number == 21 else 1  # another number of ranks: the same data
        assert forked_runs.run(folder, world=world, **spec) == [0] * world
        assert_same_run(folder, unbroken, 1e-5 if world > 1 else 0.0)
    assert num_killed >= 6


def test_a_rank_that_dies_ends_the_other_and_the_run_goes_on_with_one(
    tmp_path: Path, forked_runs: ForkedRuns, unbroken: Path
) -> None:
    fault = {"where": "step", "step": 4, "what": signal.SIGKILL, "rank": 1}
    start = time.monotonic()
    children = forked_runs.start(tmp_path, world=2, fault=fault)
    assert codes_of(children) == [1, KILLED]
    assert time.monotonic() - start < 20
    last = children[0].errors.strip().splitlines()[-1]
    assert last.startswith("gsv2.train: error: another rank is gone, or late by")
    (failure,) = (tmp_path / "run" / "failure").glob("step_*")
    record = json.loads((failure / "failure.json").read_text())
    assert (record["step"], record["rank"]) == (4, 0)
    assert [batch["micro_batch"] for batch in record["batches"]] == [12, 14]
    assert forked_runs.run(tmp_path) == [0]
    assert_same_run(tmp_path, unbroken, 1e-5)


def test_ranks_that_wait_for_a_hanging_one_end_within_the_timeout_and_so_does_it(
    tmp_path: Path, forked_runs: ForkedRuns
) -> None:
    fault = {"where": "step", "step": 4, "what": "hang", "rank": 1}
    children = forked_runs.start(tmp_path, world=2, fault=fault, trainer={"rank_timeout_sec": 3.0})
    assert codes_of(children) == [1, 1]
    lines = [child.errors.strip().splitlines()[-1] for child in children]
    assert lines[0].startswith("gsv2.train: error: another rank is gone, or late by")
    assert lines[1].startswith("gsv2.train: error: no progress for")
    stacks = [path.read_text() for path in (tmp_path / "run" / "failure").glob("*rank1/stacks.txt")]
    assert "faulty_run.py" in stacks[0]
    assert "in do_fault" in stacks[0]


def test_ranks_that_a_launcher_kills_in_native_code_leave_their_stacks(
    tmp_path: Path, forked_runs: ForkedRuns, unbroken: Path
) -> None:
    fault = {"where": "step", "step": 4, "what": "hang", "rank": 1}
    children = forked_runs.start(tmp_path, world=2, fault=fault)
    metrics = tmp_path / "run" / "metrics.jsonl"
    while not metrics.exists() or metrics.read_bytes().count(b"\n") < 3:
        time.sleep(0.02)
    time.sleep(0.5)
    for number in (signal.SIGTERM, signal.SIGKILL):
        for child in children:
            os.kill(child.pid, number)
        time.sleep(0.2)
    assert codes_of(children) == [KILLED, KILLED]
    left = [tmp_path / "run" / "failure" / f"sigterm-rank{rank}.txt" for rank in (0, 1)]
    for path, place in zip(left, ("in _accumulate", "in do_fault"), strict=True):
        assert place in path.read_text()
    assert forked_runs.run(tmp_path, world=2) == [0, 0]
    assert_same_run(tmp_path, unbroken, 1e-5)
    assert all(path.stat().st_size for path in left)


@pytest.mark.parametrize("where", ["fetch", "validation"])
def test_an_error_of_one_rank_ends_both_with_its_name(
    tmp_path: Path, forked_runs: ForkedRuns, where: str
) -> None:
    fault = {"where": where, "step": 3, "what": "error", "rank": 1}
    children = forked_runs.start(tmp_path, world=2, fault=fault)
    assert codes_of(children) == [1, 1]
    if where == "fetch":
        assert "rank 1 cannot go on: KeyError: 'shard of step 3'" in children[0].errors
    names = sorted(path.name for path in (tmp_path / "run" / "failure").iterdir())
    assert names == [f"step_00000003-rank{rank}" for rank in (0, 1)]


def test_an_error_of_one_rank_over_averages_under_zero_3_ends_both_at_once(
    tmp_path: Path, forked_runs: ForkedRuns
) -> None:
    """Weights that are taken back from shards must not wait for a rank that is elsewhere."""
    zero_3 = {"kind": "deepspeed", "zero_stage": 3}
    spec: dict[str, Any] = {
        "engines": {"generator": zero_3, "discriminator": zero_3},
        "optim": {"generator": {"ema_decay": 0.9}},
    }
    fault = {"where": "validation", "step": 3, "what": "error", "rank": 1}
    children = forked_runs.start(tmp_path, world=2, fault=fault, **spec)
    assert codes_of(children) == [1, 1]
    names = sorted(path.name for path in (tmp_path / "run" / "failure").iterdir())
    assert names == [f"step_00000003-rank{rank}" for rank in (0, 1)]
    record = json.loads((tmp_path / "run" / "failure" / names[1] / "failure.json").read_text())
    assert record["error"] == "KeyError"


def test_spikes_are_left_out_by_all_ranks_and_over_a_resume_alike(
    tmp_path: Path, forked_runs: ForkedRuns
) -> None:
    limits = {"spike_factor": 5.0, "spike_warmup_steps": 2, "max_steps": 8}
    spec: dict[str, Any] = {"trainer": limits, "spikes": [4, 6]}
    assert forked_runs.run(tmp_path / "one", **spec) == [0]
    rows = read_records(tmp_path / "one" / "run" / "metrics.jsonl")
    spikes = [0, 0, 0, 1, 1, 3, 3, 3]  # of the generator, in the end of both networks
    assert [row["train/spikes"] for row in rows] == spikes
    assert [row["train/skipped_updates"] for row in rows] == [0] * 8
    assert forked_runs.run(tmp_path / "two", world=2, **spec) == [0, 0]
    assert_same_run(tmp_path / "one", tmp_path / "two", 1e-5)
    fault = {"where": "step", "step": 3, "what": signal.SIGTERM}
    assert forked_runs.run(tmp_path / "resumed", fault=fault, **spec) == [EXIT_REQUEUE]
    assert forked_runs.run(tmp_path / "resumed", **spec) == [0]
    assert_same_run(tmp_path / "one", tmp_path / "resumed")
    spec["trainer"]["max_spikes"] = 1
    (child,) = forked_runs.start(tmp_path / "limited", **spec)
    assert child.wait() == 1
    assert "step 6: 3 updates were left out" in child.errors.strip().splitlines()[-1]


def test_a_full_disk_keeps_the_old_checkpoint_and_says_so(
    tmp_path: Path, forked_runs: ForkedRuns
) -> None:
    spec: dict[str, Any] = {"model": {"width": 600}, "trainer": {"log_every_steps": 6}}
    fault = {"where": "fetch", "step": 4, "what": "disk_full", "bytes": 15_000}
    (child,) = forked_runs.start(tmp_path, fault=fault, **spec)
    assert child.wait() == 1
    assert list_steps(tmp_path / "run") == [2]
    verify_checkpoint(tmp_path / "run" / "checkpoints" / "step_00000002")
    assert "File too large" in child.errors
    assert "step 6 could not be written" in child.errors.strip().splitlines()[-1]
    assert forked_runs.run(tmp_path, **spec) == [0]
    assert list_steps(tmp_path / "run") == [2, 4, 6]


def test_a_disk_that_is_full_for_a_while_takes_neither_the_run_nor_a_row(
    tmp_path: Path, forked_runs: ForkedRuns
) -> None:
    """Full from the reading of step 4 on, until that of step 6: rows are all there in the end."""
    fault = {"where": "fetch", "step": 4, "what": "disk_full", "bytes": 100}
    (child,) = forked_runs.start(tmp_path, fault=fault, room_again=6)
    assert child.wait() == 0, child.errors
    rows = read_records(tmp_path / "run" / "metrics.jsonl")
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert [row["checkpoint/failures"] for row in rows[-1:]] == [1]
    assert child.errors.count("CANNOT BE WRITTEN") == 1
    assert list_steps(tmp_path / "run") == [2, 6]
