from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from gsv2.training.engines.engine import EngineError
from gsv2.training.stage import Trainable
from tests.training.toy import ToyStage, toy_config


@pytest.fixture
def trainable(tmp_path: Path) -> Trainable:
    return ToyStage(toy_config(tmp_path), torch.device("cpu")).trainables["discriminator"]


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
