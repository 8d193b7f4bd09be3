from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

from gsv2.training.distributed.ranks import Distributed
from gsv2.training.run_folder.records import read_records
from tests.support.forked_runs import ForkedRuns
from tests.support.rank_server import STILL_RUNNING
from tests.support.same_run import assert_same_run
from tests.support.toy_stage import fit_toy, torn_batch, toy_config

NUM_STEPS = 60
KILL_AFTER_ROWS = 25
TRAINER = {"max_steps": NUM_STEPS, "log_every_steps": 1, "validate_every_steps": 3}


def test_a_run_killed_by_sigkill_ends_like_an_unbroken_one(
    tmp_path: Path, forked_runs: ForkedRuns
) -> None:
    _kill_midway(tmp_path / "b", forked_runs)
    (resumed,) = forked_runs.start(tmp_path / "b", trainer=TRAINER)
    fit_toy(toy_config(tmp_path / "a", trainer=TRAINER), Distributed(), make_batch=torn_batch)
    assert resumed.wait() == 0
    assert not re.search("WARNING|ERROR|Traceback", resumed.errors)
    rows = read_records(tmp_path / "b" / "run" / "metrics.jsonl")
    assert [row["step"] for row in rows] == list(range(1, NUM_STEPS + 1))
    assert_same_run(tmp_path / "b", tmp_path / "a")


def _kill_midway(folder: Path, forked_runs: ForkedRuns) -> None:
    """Start a run and kill it somewhere after its first checkpoints."""
    (child,) = forked_runs.start(folder, trainer=TRAINER)
    metrics = folder / "run" / "metrics.jsonl"
    deadline = time.monotonic() + 60
    while forked_runs.ask({"poll": child.pid}) == STILL_RUNNING and time.monotonic() < deadline:
        if metrics.exists() and metrics.read_bytes().count(b"\n") >= KILL_AFTER_ROWS:
            break
        time.sleep(0.005)
    os.kill(child.pid, signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    assert KILL_AFTER_ROWS <= metrics.read_bytes().count(b"\n") < NUM_STEPS
