from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.optim import AdamW

from gsv2.training.engines.engine import EngineError
from gsv2.training.engines.host_copies import copy_to_host
from gsv2.training.engines.module_state import capture_module, restore_module


def make(seed: int) -> tuple[nn.Module, AdamW]:
    """Return a network with buffers and a frozen part, its optimizer in two groups."""
    torch.manual_seed(seed)
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    module[2].weight.requires_grad_(False)
    groups = [{"params": [module[2].bias]}, {"params": [*module[0].parameters()]}]
    groups.append({"params": [*module[1].parameters()]})  # another order than the network's
    return module, AdamW(groups, lr=0.1)


def train(module: nn.Module, optimizer: AdamW) -> None:
    module(torch.randn(8, 3)).square().mean().backward()
    optimizer.step()
    optimizer.zero_grad()


def test_a_restored_network_goes_on_like_the_captured_one() -> None:
    module, optimizer = make(0)
    train(module, optimizer)
    state = capture_module(module, optimizer, copy_to_host)
    assert {"exp_avg/0.weight", "exp_avg_sq/1.bias", "step/2.bias"} <= state.optimizer.keys()
    assert "exp_avg/2.weight" not in state.optimizer
    assert state.weights.keys() == module.state_dict().keys()
    twins = [make(1), make(2)]
    for other, its_optimizer in twins:
        restore_module(other, its_optimizer, state)
    for one, its_optimizer in ((module, optimizer), *twins):
        torch.manual_seed(3)
        train(one, its_optimizer)
    for other, _ in twins:  # none of them moves what another one was restored from
        torch.testing.assert_close(other.state_dict(), module.state_dict(), rtol=0, atol=0)


def test_before_the_first_step_there_are_no_moments() -> None:
    module, optimizer = make(0)
    state = capture_module(module, optimizer, copy_to_host)
    assert state.optimizer == {}
    other, its_optimizer = make(1)
    train(other, its_optimizer)
    restore_module(other, its_optimizer, state)
    assert not its_optimizer.state
    torch.testing.assert_close(other.state_dict(), module.state_dict())


def test_the_names_and_places_are_what_a_copy_is_named_by() -> None:
    module, optimizer = make(0)
    train(module, optimizer)
    names: list[str] = []

    def hold(name: str, tensor: torch.Tensor) -> torch.Tensor:
        names.append(name)
        return copy_to_host(name, tensor)

    capture_module(module, optimizer, hold)
    assert len(names) == len(set(names))
    assert {"weights/0.weight", "optimizer/step/0.bias"} <= set(names)


def test_another_network_is_refused() -> None:
    module, optimizer = make(0)
    state = capture_module(module, optimizer, copy_to_host)
    other = nn.Linear(2, 2)
    message = r"of another network: its weights tensors have an unknown 0\.bias \(\d+ names differ"
    with pytest.raises(EngineError, match=message):
        restore_module(other, AdamW(other.parameters()), state)
