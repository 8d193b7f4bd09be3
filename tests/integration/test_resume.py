from __future__ import annotations

import time
from pathlib import Path

import torch
from safetensors.torch import load_file

from gsv2.training.checkpoints.checkpoint import find_component
from gsv2.training.distributed import Distributed
from gsv2.training.telemetry.clock import TIMING_KEYS
from gsv2.training.telemetry.records import read_records
from tests.integration.launch import finish, start_one
from tests.training.toy import fit_toy, torn_batch, toy_config

NUM_STEPS = 60
KILL_AFTER_ROWS = 25


def test_a_run_killed_by_sigkill_ends_like_an_unbroken_one(tmp_path: Path) -> None:
    _kill_midway(tmp_path / "b")
    resumed = start_one("tests.training.toy", str(tmp_path / "b"), str(NUM_STEPS))
    steps = {"max_steps": NUM_STEPS, "log_every_steps": 1, "validate_every_steps": 3}
    config = toy_config(tmp_path / "a", trainer=steps)
    stage, _ = fit_toy(config, Distributed(), make_batch=torn_batch)
    assert finish(resumed) == ""

    rows = [read_records(tmp_path / n / "run" / "metrics.jsonl") for n in ("a", "b")]
    assert [row["step"] for row in rows[1]] == list(range(1, NUM_STEPS + 1))
    for row, other in zip(*rows, strict=True):
        assert {k: v for k, v in row.items() if k not in TIMING_KEYS} == {
            k: v for k, v in other.items() if k not in TIMING_KEYS
        }
    for name, trainable in stage.trainables.items():
        saved = load_file(find_component(tmp_path / "b" / "run", name))
        torch.testing.assert_close(saved, trainable.module.state_dict(), rtol=0, atol=0)


def _kill_midway(folder: Path) -> None:
    """Start a run and kill it somewhere after its first checkpoints."""
    process = start_one("tests.training.toy", str(folder), str(NUM_STEPS))
    metrics = folder / "run" / "metrics.jsonl"
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        if metrics.exists() and metrics.read_bytes().count(b"\n") >= KILL_AFTER_ROWS:
            break
        time.sleep(0.005)
    process.kill()
    process.communicate()
    assert KILL_AFTER_ROWS <= metrics.read_bytes().count(b"\n") < NUM_STEPS
