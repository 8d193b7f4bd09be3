from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gsv2.training.checkpoint import CheckpointMismatchError
from gsv2.training.distributed import Distributed
from gsv2.training.snapshot import load_snapshot, save_snapshot
from gsv2.training.state import TrainState
from gsv2.training.step import StepRunner
from tests.training.toy import ToyModelConfig, ToyStage, toy_batch, toy_config

CPU = torch.device("cpu")


@pytest.fixture
def trained(tmp_path: Path, distributed: Distributed) -> ToyStage:
    stage = ToyStage(toy_config(tmp_path), CPU)
    runner = StepRunner(stage, distributed, seed=0)
    for step in (1, 2, 3):
        runner.run([toy_batch(step)], step)
    return stage


def test_a_loaded_stage_is_bit_for_bit_the_saved_one(tmp_path: Path, trained: ToyStage) -> None:
    state = TrainState(step=3, next_micro_batch=3, samples_seen=9, time_sec=1.5)
    save_snapshot(tmp_path, trained.trainables, state, seed=0, lanes=8, world=1)
    torch.manual_seed(99)
    fresh = ToyStage(toy_config(tmp_path), CPU)
    assert load_snapshot(tmp_path, fresh.trainables, seed=0, lanes=8) == state
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


def test_nothing_in_a_snapshot_is_pickled(tmp_path: Path, trained: ToyStage) -> None:
    save_snapshot(tmp_path, trained.trainables, TrainState(), seed=0, lanes=8, world=1)
    assert {path.suffix for path in tmp_path.iterdir()} == {".safetensors", ".json"}


def test_a_snapshot_of_an_older_format_is_refused(tmp_path: Path) -> None:
    save_snapshot(tmp_path, {}, TrainState(), seed=0, lanes=8, world=1)
    state = json.loads((tmp_path / "state.json").read_text())
    (tmp_path / "state.json").write_text(json.dumps({**state, "format_version": 1}))
    with pytest.raises(CheckpointMismatchError, match="format_version is 1 there, but 2 in this"):
        load_snapshot(tmp_path, {}, seed=0, lanes=8)


def test_a_snapshot_of_another_run_is_refused_by_what_differs(
    tmp_path: Path, trained: ToyStage
) -> None:
    save_snapshot(tmp_path, trained.trainables, TrainState(), seed=0, lanes=8, world=1)
    with pytest.raises(CheckpointMismatchError, match="seed is 0 there, but 1 in this run"):
        load_snapshot(tmp_path, trained.trainables, seed=1, lanes=8)

    with pytest.raises(CheckpointMismatchError, match=r"data\.lanes is 8 there, but 4 in this run"):
        load_snapshot(tmp_path, trained.trainables, seed=0, lanes=4)

    wide = replace(toy_config(tmp_path), model=ToyModelConfig(width=7))
    with pytest.raises(CheckpointMismatchError, match=r"generator\.width is 6 there, but 7"):
        load_snapshot(tmp_path, ToyStage(wide, CPU).trainables, seed=0, lanes=8)

    other = ToyStage(toy_config(tmp_path), CPU)
    other.trainables["generator"].provenance = {"quantizer": "xyz"}
    with pytest.raises(CheckpointMismatchError, match="quantizer of generator is 'abc' there"):
        load_snapshot(tmp_path, other.trainables, seed=0, lanes=8)

    del other.trainables["discriminator"]
    with pytest.raises(CheckpointMismatchError, match="trainables"):
        load_snapshot(tmp_path, other.trainables, seed=0, lanes=8)
