from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from gsv2.models.component import load_component
from gsv2.training.accounting.state import TrainState
from gsv2.training.checkpoints.fingerprint import RunIdentity
from gsv2.training.checkpoints.restore import check_snapshot
from gsv2.training.checkpoints.snapshot import capture_snapshot, write_snapshot
from gsv2.training.distributed.ranks import Distributed
from gsv2.training.engines.host_copies import HostCopies
from gsv2.training.prepare import attach_engines
from gsv2.training.step import StepRunner
from tests.support.run_step import run_step
from tests.support.toy_stage import ToyStage, toy_batch, toy_config

IDENTITY = RunIdentity(seed=0, lanes=8)


def make_stage(folder: Path, distributed: Distributed, **sections: Any) -> ToyStage:
    """Return an untrained toy with engines."""
    stage = ToyStage(toy_config(folder, **sections), distributed.device)
    attach_engines(stage.trainables, {}, distributed)
    return stage


@pytest.fixture
def trained(tmp_path: Path, distributed: Distributed) -> ToyStage:
    stage = make_stage(tmp_path, distributed)
    runner = StepRunner(stage, distributed, seed=0)
    for step in (1, 2, 3):
        run_step(runner, [toy_batch(step)], step)
    return stage


def save_snapshot(
    folder: Path,
    stage: ToyStage,
    state: TrainState | None = None,
    identity: RunIdentity = IDENTITY,
) -> dict[str, str]:
    snapshot = capture_snapshot(
        stage.trainables, state or TrainState(), identity, world=1, copies=HostCopies()
    )
    assert snapshot is not None
    return write_snapshot(snapshot, folder)


def load_snapshot(
    folder: Path,
    stage: ToyStage,
    distributed: Distributed,
    identity: RunIdentity = IDENTITY,
    accept: Sequence[str] = (),
) -> TrainState:
    point = check_snapshot(folder, stage.trainables, identity, accept)
    point.load(stage.trainables, distributed)
    return point.state


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "snapshot").mkdir()
    return tmp_path / "snapshot"


def test_a_loaded_stage_is_bit_for_bit_the_saved_one(
    tmp_path: Path, folder: Path, trained: ToyStage, distributed: Distributed
) -> None:
    state = TrainState(step=3, next_micro_batch=3, samples_seen=9, time_sec=1.5)
    save_snapshot(folder, trained, state)
    torch.manual_seed(99)
    fresh = make_stage(tmp_path, distributed)
    assert load_snapshot(folder, fresh, distributed) == state
    for name, saved in trained.trainables.items():
        loaded = fresh.trainables[name]
        torch.testing.assert_close(
            loaded.module.state_dict(), saved.module.state_dict(), rtol=0, atol=0
        )
        torch.testing.assert_close(
            loaded.optimizer.state_dict()["state"],
            saved.optimizer.state_dict()["state"],
            rtol=0,
            atol=0,
        )
        assert [g["lr"] for g in loaded.optimizer.param_groups] == [
            g["lr"] for g in saved.optimizer.param_groups
        ]
        assert loaded.scheduler.state_dict() == saved.scheduler.state_dict()


def test_a_snapshot_does_not_change_with_the_run_that_goes_on(
    folder: Path, trained: ToyStage, distributed: Distributed
) -> None:
    """The thread writes while the next steps are taken."""
    state = TrainState(step=3, history={"generator": [1.0]})
    expected = {
        name: {key: value.clone() for key, value in trainable.module.state_dict().items()}
        for name, trainable in trained.trainables.items()
    }
    snapshot = capture_snapshot(trained.trainables, state, IDENTITY, world=1, copies=HostCopies())
    assert snapshot is not None
    run_step(StepRunner(trained, distributed, seed=0), [toy_batch(4)], 4)
    state.step = 4
    state.history["generator"].append(2.0)
    write_snapshot(snapshot, folder)
    for name, weights in expected.items():
        component = load_component(folder / f"{name}.safetensors", trained.trainables[name].kind)
        torch.testing.assert_close(dict(component.tensors), weights, rtol=0, atol=0)
        steps = load_file(folder / f"{name}.optimizer.safetensors")["step/layers.0.weight"]
        assert steps == 3
    run = json.loads((folder / "state.json").read_text())["run"]
    assert (run["step"], run["history"]) == (3, {"generator": [1.0]})


def test_the_checksums_are_those_of_the_files(folder: Path, trained: ToyStage) -> None:
    sums = save_snapshot(folder, trained)
    assert sums == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()
    }
    assert {Path(name).suffix for name in sums} == {".safetensors", ".json"}


def test_copies_of_a_gpu_are_complete_when_the_snapshot_is_made(trained: ToyStage) -> None:
    """As CUDA does it: what `copy` returns is filled some time later, at `finish` at the latest."""

    class LateCopies(HostCopies):
        def copy(self, name: str, tensor: Tensor) -> Tensor:
            copy = torch.full_like(tensor, 7)
            self.late = [*getattr(self, "late", []), (copy, tensor)]
            return copy

        def finish(self) -> None:
            for copy, tensor in self.late:
                copy.copy_(tensor.detach())

    snapshot = capture_snapshot(
        trained.trainables, TrainState(), IDENTITY, world=1, copies=LateCopies()
    )
    assert snapshot is not None
    for name, trainable in trained.trainables.items():
        weights = dict(snapshot.states[name].weights)
        torch.testing.assert_close(weights, trainable.module.state_dict(), rtol=0, atol=0)
