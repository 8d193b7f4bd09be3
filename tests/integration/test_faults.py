"""What three weeks bring: signals, kills, ranks that are gone or late, disks that are full."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from gsv2.train import EXIT_REQUEUE
from gsv2.training.checkpoint import find_component, list_steps, verify_checkpoint
from gsv2.training.clock import TIMING_KEYS
from gsv2.training.records import read_records
from tests.integration.launch import ROOT, environment, start_two_ranks
from tests.integration.nursery import Nursery, codes_of

NETWORKS = ("generator", "discriminator")
KILLED = -signal.SIGKILL


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    """Forks runs."""
    with Nursery() as nursery:
        yield nursery


@pytest.fixture(scope="module")
def unbroken(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process trains that nothing befalls."""
    folder = tmp_path_factory.mktemp("unbroken")
    assert nursery.run(folder) == [0]
    return folder


def assert_same_run(folder: Path, other: Path, tolerance: float = 0.0) -> None:
    """Check that two runs have the same weights and rows."""
    for name in NETWORKS:
        tensors, others = (load_file(find_component(f / "run", name)) for f in (folder, other))
        for key, value in tensors.items():
            assert (value - others[key]).abs().max() <= tolerance, f"{name}.{key}"
    rows, other_rows = (read_records(f / "run" / "metrics.jsonl") for f in (folder, other))
    assert [row["step"] for row in rows] == [row["step"] for row in other_rows]
    for row, other_row in zip(rows, other_rows, strict=True):
        assert row.get("data/ledger") == other_row.get("data/ledger")
        for key in (row.keys() | other_row.keys()) - TIMING_KEYS - {"data/ledger"}:
            assert row[key] == pytest.approx(other_row[key], rel=tolerance, abs=tolerance), key
    bad, other_bad = (read_records(f / "run" / "quarantine.jsonl") for f in (folder, other))
    assert [clip["key"] for clip in bad] == [clip["key"] for clip in other_bad]


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
    nursery: Nursery,
    unbroken: Path,
    where: str,
    step: int,
    number: int,
    saved: list[int],
) -> None:
    """Nothing done is lost: not the step under way, nor the row whose validation was broken off."""
    fault = {"where": where, "step": step, "what": number}
    (child,) = nursery.start(tmp_path, fault=fault)
    assert child.wait() == EXIT_REQUEUE
    assert list_steps(tmp_path / "run") == saved
    assert f"the same command goes on from step {saved[-1]}" in child.errors
    assert not (tmp_path / "run" / "failure").exists()
    assert nursery.run(tmp_path) == [0]
    assert_same_run(tmp_path, unbroken)


def test_a_run_that_is_told_before_its_first_step_leaves_at_once(
    tmp_path: Path, nursery: Nursery
) -> None:
    for where, step in (("start", 0), ("fetch", 1)):
        fault = {"where": where, "step": step, "what": signal.SIGTERM}
        assert nursery.run(tmp_path, fault=fault) == [EXIT_REQUEUE]
        assert list_steps(tmp_path / "run") == []


def test_a_run_broken_off_in_its_last_validation_makes_up_for_it(
    tmp_path: Path, nursery: Nursery, unbroken: Path
) -> None:
    fault = {"where": "validation", "step": 6, "what": signal.SIGTERM}
    spec = {"checkpoint": {"best": "validation/generator/error"}}
    assert nursery.run(tmp_path, fault=fault, **spec) == [EXIT_REQUEUE]
    for _ in range(2):  # then it is finished
        assert nursery.run(tmp_path, **spec) == [0]
        assert_same_run(tmp_path, unbroken)
    state = json.loads((tmp_path / "run/checkpoints/step_00000006/state.json").read_text())
    assert set(state["values"]) == {"validation/generator/error"}


def test_ctrl_c_leaves_at_once_with_130(tmp_path: Path, nursery: Nursery) -> None:
    fault = {"where": "step", "step": 4, "what": signal.SIGINT}
    (child,) = nursery.start(tmp_path, fault=fault)
    assert child.wait() == 130
    assert list_steps(tmp_path / "run") == [2]


@pytest.mark.parametrize("where", ["fetch", "step", "validation"])
def test_a_signal_to_one_of_two_ranks_stops_both_alike(
    tmp_path: Path, nursery: Nursery, unbroken: Path, where: str
) -> None:
    fault = {"where": where, "step": 3, "what": signal.SIGTERM, "rank": 1}
    start = time.monotonic()
    assert nursery.run(tmp_path, world=2, fault=fault) == [EXIT_REQUEUE] * 2
    assert time.monotonic() - start < 20
    assert list_steps(tmp_path / "run")[-1] == (2 if where == "fetch" else 3)
    assert nursery.run(tmp_path, world=2) == [0, 0]
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


@pytest.mark.slow
def test_sigterm_to_the_launcher_saves_on_all_ranks_before_it_kills_them(tmp_path: Path) -> None:
    """The launcher leaves with 1 whatever its ranks say; they say it in the log."""
    spec = {
        "folder": str(tmp_path),
        "trainer": {"max_steps": 100_000, "validate_every_steps": 0},
        "checkpoint": {"every_steps": 100_000},
    }
    launcher = start_two_ranks("tests.integration.faulty", json.dumps(spec))
    metrics = tmp_path / "run" / "metrics.jsonl"
    while launcher.poll() is None and not (metrics.exists() and metrics.stat().st_size > 3000):
        time.sleep(0.05)
    start = time.monotonic()
    launcher.send_signal(signal.SIGTERM)
    _, errors = launcher.communicate(timeout=60)
    assert time.monotonic() - start < 20
    (step,) = list_steps(tmp_path / "run")
    assert step == read_records(metrics)[-1]["step"]
    assert errors.count(f"the same command goes on from step {step}") == 2
    assert not (tmp_path / "run" / "failure").exists()
    assert launcher.returncode == 1  # launch/node.py passes 85 on


def test_a_run_killed_anywhere_in_a_checkpoint_goes_on_bit_for_bit(
    tmp_path: Path, nursery: Nursery, unbroken: Path
) -> None:
    """At every so many-th opening, renaming or removal of a file of a checkpoint."""
    spec = {"checkpoint": {"keep_last": 1}}
    num_killed = 0
    for number in range(1, 1000, 5):
        folder = tmp_path / str(number)
        (code,) = nursery.run(folder, kill_at_event=number, **spec)
        assert code in (0, KILLED)
        if code == 0:
            break
        num_killed += 1
        world = 2 if number == 21 else 1  # another number of ranks: the same data
        assert nursery.run(folder, world=world, **spec) == [0] * world
        assert_same_run(folder, unbroken, 1e-5 if world > 1 else 0.0)
    assert num_killed >= 6


def test_a_rank_that_dies_ends_the_other_and_the_run_goes_on_with_one(
    tmp_path: Path, nursery: Nursery, unbroken: Path
) -> None:
    fault = {"where": "step", "step": 4, "what": signal.SIGKILL, "rank": 1}
    start = time.monotonic()
    children = nursery.start(tmp_path, world=2, fault=fault)
    assert codes_of(children) == [1, KILLED]
    assert time.monotonic() - start < 20
    last = children[0].errors.strip().splitlines()[-1]
    assert last.startswith("gsv2.train: error: another rank is gone, or late by")
    (failure,) = (tmp_path / "run" / "failure").glob("step_*")
    record = json.loads((failure / "failure.json").read_text())
    assert (record["step"], record["rank"]) == (4, 0)
    assert [batch["micro_batch"] for batch in record["batches"]] == [12, 14]
    assert nursery.run(tmp_path) == [0]
    assert_same_run(tmp_path, unbroken, 1e-5)


def test_ranks_that_wait_for_a_hanging_one_end_within_the_timeout_and_so_does_it(
    tmp_path: Path, nursery: Nursery
) -> None:
    fault = {"where": "step", "step": 4, "what": "hang", "rank": 1}
    children = nursery.start(tmp_path, world=2, fault=fault, trainer={"rank_timeout_sec": 3.0})
    assert codes_of(children) == [1, 1]
    lines = [child.errors.strip().splitlines()[-1] for child in children]
    assert lines[0].startswith("gsv2.train: error: another rank is gone, or late by")
    assert lines[1].startswith("gsv2.train: error: no progress for")
    stacks = [path.read_text() for path in (tmp_path / "run" / "failure").glob("*rank1/stacks.txt")]
    assert "faulty.py" in stacks[0]
    assert "in befall" in stacks[0]


def test_ranks_that_a_launcher_kills_in_native_code_leave_their_stacks(
    tmp_path: Path, nursery: Nursery, unbroken: Path
) -> None:
    fault = {"where": "step", "step": 4, "what": "hang", "rank": 1}
    children = nursery.start(tmp_path, world=2, fault=fault)
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
    for path, place in zip(left, ("in _accumulate", "in befall"), strict=True):
        assert place in path.read_text()
    assert nursery.run(tmp_path, world=2) == [0, 0]
    assert_same_run(tmp_path, unbroken, 1e-5)
    assert all(path.stat().st_size for path in left)


@pytest.mark.parametrize("where", ["fetch", "validation"])
def test_an_error_of_one_rank_ends_both_with_its_name(
    tmp_path: Path, nursery: Nursery, where: str
) -> None:
    fault = {"where": where, "step": 3, "what": "error", "rank": 1}
    children = nursery.start(tmp_path, world=2, fault=fault)
    assert codes_of(children) == [1, 1]
    if where == "fetch":
        assert "rank 1 cannot go on: KeyError: 'shard of step 3'" in children[0].errors
    names = sorted(path.name for path in (tmp_path / "run" / "failure").iterdir())
    assert names == [f"step_00000003-rank{rank}" for rank in (0, 1)]


def test_spikes_are_left_out_by_all_ranks_and_over_a_resume_alike(
    tmp_path: Path, nursery: Nursery
) -> None:
    limits = {"spike_factor": 5.0, "spike_warmup_steps": 2, "max_steps": 8}
    spec: dict[str, Any] = {"trainer": limits, "spikes": [4, 6]}
    assert nursery.run(tmp_path / "one", **spec) == [0]
    rows = read_records(tmp_path / "one" / "run" / "metrics.jsonl")
    assert [row["train/spikes"] for row in rows] == [0, 0, 0, 1, 1, 2, 2, 2]  # of the generator
    assert [row["train/skipped_updates"] for row in rows] == [0] * 8
    assert nursery.run(tmp_path / "two", world=2, **spec) == [0, 0]
    assert_same_run(tmp_path / "one", tmp_path / "two", 1e-5)
    fault = {"where": "step", "step": 3, "what": signal.SIGTERM}
    assert nursery.run(tmp_path / "resumed", fault=fault, **spec) == [EXIT_REQUEUE]
    assert nursery.run(tmp_path / "resumed", **spec) == [0]
    assert_same_run(tmp_path / "one", tmp_path / "resumed")
    spec["trainer"]["max_spikes"] = 1
    (child,) = nursery.start(tmp_path / "limited", **spec)
    assert child.wait() == 1
    assert "step 6: 2 updates were left out" in child.errors.strip().splitlines()[-1]


def test_a_full_disk_keeps_the_old_checkpoint_and_says_so(tmp_path: Path, nursery: Nursery) -> None:
    spec: dict[str, Any] = {"model": {"width": 600}, "trainer": {"log_every_steps": 6}}
    fault = {"where": "fetch", "step": 4, "what": "disk_full", "bytes": 15_000}
    (child,) = nursery.start(tmp_path, fault=fault, **spec)
    assert child.wait() == 1
    assert list_steps(tmp_path / "run") == [2]
    verify_checkpoint(tmp_path / "run" / "checkpoints" / "step_00000002")
    assert "File too large" in child.errors
    assert "step 6 could not be written" in child.errors.strip().splitlines()[-1]
    assert nursery.run(tmp_path, **spec) == [0]
    assert list_steps(tmp_path / "run") == [2, 4, 6]
