"""Checkpoints seen from a run."""

from __future__ import annotations

import errno
import itertools
import os
import re
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import torch

from gsv2.data.plan.window import LanePosition
from gsv2.data.stream.batch import Batch
from gsv2.training.checkpoints import saver
from gsv2.training.checkpoints.checkpoint import CheckpointMismatchError
from gsv2.training.checkpoints.mirror import CheckpointMirror
from gsv2.training.checkpoints.snapshot import Snapshot, write_snapshot
from gsv2.training.distributed.ranks import Distributed
from gsv2.training.faults.signals import Preempted, StopSignals
from gsv2.training.run_folder.records import read_records
from gsv2.training.trainer import Trainer
from tests.support.toy_stage import NUM_LANES, ToyStage, fit_toy, torn_batch, toy_config
from tests.training.checkpoints.test_fingerprint import make_fingerprint
from tests.training.test_trainer import Killed, dying_at, metrics


def test_a_fresh_machine_goes_on_from_the_target_bit_for_bit(
    tmp_path: Path, distributed: Distributed
) -> None:
    whole, _ = fit_toy(toy_config(tmp_path / "a"), distributed, make_batch=torn_batch)
    section = {"checkpoint": {"target": f"memory://{uuid4().hex}/runs", "keep_last": 1}}
    with pytest.raises(Killed):
        fit_toy(toy_config(tmp_path / "b", **section), distributed, make_batch=dying_at(22))
    other = toy_config(tmp_path / "c", **section)
    resumed, state = fit_toy(other, distributed, make_batch=torn_batch)
    assert state.step == 6
    for name, trainable in whole.trainables.items():
        torch.testing.assert_close(
            resumed.trainables[name].module.state_dict(),
            trainable.module.state_dict(),
            rtol=0,
            atol=0,
        )
    assert metrics(tmp_path / "a")[4:] == metrics(tmp_path / "c")


def test_another_dataset_is_refused_unless_it_is_accepted(
    tmp_path: Path, distributed: Distributed
) -> None:
    def fit(max_steps: int, dataset: Any, **checkpoint: Any) -> list[Any]:
        starts: list[Any] = []

        def train(start: int, positions: Mapping[int, LanePosition]) -> Iterator[Batch]:
            starts.append((start, dict(positions)))
            return map(torn_batch, itertools.count(start))

        options = {"max_steps": max_steps, "validate_every_steps": 0}
        config = toy_config(tmp_path, trainer=options, checkpoint=checkpoint)
        stage = ToyStage(config, distributed.device)
        Trainer(config, distributed).fit(stage, train, dataset=dataset)
        return starts

    fit(2, make_fingerprint())
    message = r"data\.max_frames is 1024 there, but 7 in this run.*checkpoint\.accept=\[dataset\]"
    with pytest.raises(CheckpointMismatchError, match=message):
        fit(3, make_fingerprint(max_frames=7))
    assert fit(3, make_fingerprint(max_frames=7), accept=["dataset"]) == [(8, {})]
    (start,) = fit(4, make_fingerprint(max_frames=7))  # from now on it is the run's own
    assert start[0] == 12
    assert len(start[1]) == NUM_LANES


def test_a_run_goes_on_while_the_disk_is_full(
    tmp_path: Path,
    distributed: Distributed,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    is_full = threading.Event()

    def write(snapshot: Snapshot, folder: Path) -> dict[str, str]:
        if snapshot.record["run"]["step"] == 4:
            is_full.set()
            raise OSError(errno.ENOSPC, "No space left on device")
        return write_snapshot(snapshot, folder)

    def make_batch(k: int) -> Batch:
        if k == 4 * 5:  # of step 6, read in step 5: what a thread does is known by then
            assert is_full.wait(20)
            time.sleep(0.1)
        return torn_batch(k)

    monkeypatch.setattr(saver, "write_snapshot", write)
    config = toy_config(tmp_path, checkpoint={"every_steps": 2, "keep_last": 9})
    fit_toy(config, distributed, make_batch=make_batch)
    assert "CHECKPOINT FAILED, the earlier ones stay: the checkpoint of step 4" in caplog.text
    folders = sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir())
    assert folders == ["step_00000002", "step_00000006"]
    failures = [row["checkpoint/failures"] for row in read_records(tmp_path / "run/metrics.jsonl")]
    assert failures[:4] == [0, 0, 0, 0]
    assert failures[-1] == 1


def test_a_run_that_is_refused_changes_nothing(tmp_path: Path, distributed: Distributed) -> None:
    fit_toy(toy_config(tmp_path), distributed)
    config = replace(toy_config(tmp_path), seed=5)
    with pytest.raises(CheckpointMismatchError, match=r"seed is 0 there, but 5 in this run"):
        fit_toy(config, distributed)
    assert len(metrics(tmp_path)) == 6


@pytest.mark.parametrize(("resume", "advice"), [("auto", r"step 2$"), ("none", "resume=auto")])
def test_a_run_that_leaves_says_what_goes_on_where_it_stands(
    tmp_path: Path, distributed: Distributed, resume: str, advice: str
) -> None:
    def tell_at_the_third_step(k: int) -> Batch:
        if k == 8:
            os.kill(os.getpid(), signal.SIGUSR1)
        return torn_batch(k)

    config = toy_config(tmp_path, checkpoint={"resume": resume})
    with StopSignals() as signals, pytest.raises(Preempted) as left:
        fit_toy(config, distributed, make_batch=tell_at_the_third_step, signals=signals)
    assert re.search(f"the same command goes on from .*{advice}", left.value.message)


def test_a_last_checkpoint_that_the_target_did_not_take_is_brought_by_the_next_launch(
    tmp_path: Path, distributed: Distributed, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"memory://{uuid4().hex}/runs"
    config = toy_config(tmp_path, checkpoint={"target": url})
    put = CheckpointMirror.put

    def unplugged(self: CheckpointMirror, folder: Path, step: int) -> None:
        if step == 6:
            raise OSError("cable out")
        put(self, folder, step)

    monkeypatch.setattr(CheckpointMirror, "put", unplugged)
    for _ in range(2):  # that the run is finished here is no reason to be content
        with pytest.raises(OSError, match="cable out"):
            fit_toy(config, distributed)
    fit_toy(toy_config(tmp_path, trainer={"max_steps": 7}, checkpoint={"target": url}), distributed)
    assert CheckpointMirror(f"{url}/run").steps() == [2, 4, 7]

    monkeypatch.setattr(CheckpointMirror, "put", put)
    CheckpointMirror(f"{url}/run").remove(7)
    fit_toy(toy_config(tmp_path, trainer={"max_steps": 7}, checkpoint={"target": url}), distributed)
    assert CheckpointMirror(f"{url}/run").steps() == [2, 4, 7]


def no_step(k: int) -> Batch:
    raise AssertionError(f"micro-batch {k} was read")


def test_a_run_folder_that_not_every_rank_can_use_stops_a_run_before_its_first_step(
    tmp_path: Path, distributed: Distributed
) -> None:
    (tmp_path / "file").touch()
    config = toy_config(tmp_path, run={"dir": f"{tmp_path}/file"})
    with pytest.raises(OSError, match=r"^run\.dir: .*/file/run cannot be written"):
        fit_toy(config, distributed, make_batch=no_step)


def test_a_target_that_cannot_be_written_stops_a_run_before_its_first_step(
    tmp_path: Path, distributed: Distributed
) -> None:
    (tmp_path / "file").touch()
    config = toy_config(tmp_path, checkpoint={"target": f"file://{tmp_path}/file"})
    with pytest.raises(OSError, match=r"^checkpoint\.target cannot be written: file://.*/file/run"):
        fit_toy(config, distributed, make_batch=no_step)
    assert not (tmp_path / "run").exists()


def test_what_a_copy_broken_off_has_left_at_the_target_is_gone_after_the_next_launch(
    tmp_path: Path, distributed: Distributed
) -> None:
    there = tmp_path / "there" / "run" / "checkpoints"
    (there / "step_00000001").mkdir(parents=True)
    (there / "step_00000001" / "generator.safetensors").write_bytes(b"half")
    fit_toy(toy_config(tmp_path, checkpoint={"target": f"file://{tmp_path}/there"}), distributed)
    assert sorted(path.name[-1] for path in there.iterdir()) == ["2", "4", "6"]
