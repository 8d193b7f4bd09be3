from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from gsv2.training.engines.engine import EngineError
from gsv2.training.optim import OptimConfig
from gsv2.training.stage import Stage, Trainable, Workload, audio_workload, make_trainable
from tests.support.toy_stage import ToyModelConfig, ToyStage, toy_batch, toy_config


@pytest.fixture
def trainable(tmp_path: Path) -> Trainable:
    return ToyStage(toy_config(tmp_path), torch.device("cpu")).trainables["discriminator"]


def test_a_network_is_trained_by_its_entry_of_optim() -> None:
    optim = OptimConfig(lr=0.5, warmup_steps=1, max_grad_norm=3.0, ema_decay=0.9)
    made = make_trainable("gpt", nn.Linear(2, 2), ToyModelConfig(), optim, 10, {"quantizer": "a"})
    assert (made.max_grad_norm, made.ema_decay) == (3.0, 0.9)
    assert made.optimizer.param_groups[0]["lr"] == 0.25, "the first of two steps of warmup"
    assert (made.config, made.config_type) == ({"width": 6}, ToyModelConfig)
    assert (made.kind, made.provenance) == ("gpt", {"quantizer": "a"})


def test_the_audio_of_a_batch_is_its_workload() -> None:
    batch = replace(toy_batch(1), wave_lengths=torch.tensor([5, 7]))
    assert audio_workload(batch) == Workload(samples=(5, 7))
    assert audio_workload(replace(batch, wave_lengths=None)) == Workload()


def test_a_stage_has_every_part_of_the_protocol(tmp_path: Path) -> None:
    stage = ToyStage(toy_config(tmp_path), torch.device("cpu"))
    parts = {name for name in vars(Stage) if not name.startswith("_")} | {*Stage.__annotations__}
    assert {part for part in parts if not hasattr(stage, part)} == set()


def test_a_trainable_runs_through_its_engine_once_it_has_one(trainable: Trainable) -> None:
    x = torch.ones(1, 8)
    trainable.module.eval()
    assert torch.equal(trainable(x), trainable.module(x))
    trainable.engine = nn.Identity()
    assert torch.equal(trainable(x), x)


def test_a_frozen_network_passes_gradients_on_but_takes_none(trainable: Trainable) -> None:
    trainable.engine = nn.Identity()
    still = trainable.module.layers[0].bias
    still.requires_grad_(False)
    x = torch.ones(1, 8, requires_grad=True)
    with trainable.frozen() as network:
        assert network is trainable.module
        network(x).sum().backward()
    assert x.grad is not None
    assert all(p.grad is None for p in trainable.module.parameters())
    assert not still.requires_grad
    assert trainable.module.layers[0].weight.requires_grad


def test_a_frozen_network_cannot_run_through_its_engine(trainable: Trainable) -> None:
    with trainable.frozen(), pytest.raises(EngineError, match="while it is frozen for another's"):
        trainable(torch.ones(1, 8))
    trainable(torch.ones(1, 8))
