from __future__ import annotations

from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from gsv2.training.engines.contract import OwnUpdates
from gsv2.training.engines.engine import EngineError


class Output(NamedTuple):
    waves: list[Tensor]
    length: int


@pytest.fixture
def updates() -> OwnUpdates:
    return OwnUpdates("judge")


def test_an_update_of_its_own_passes(updates: OwnUpdates) -> None:
    network = nn.Linear(2, 1)
    loss = updates.watch(network(torch.ones(1, 2))).sum()
    with updates.backward():
        loss.backward()
    assert network.weight.grad is not None


def test_gradients_of_another_update_are_an_error_wherever_the_output_holds_them(
    updates: OwnUpdates,
) -> None:
    x = torch.ones(1, 2, requires_grad=True)
    output = updates.watch(Output([x * 1, x * 2], 3))
    with pytest.raises(EngineError, match=r"sends gradients through judge's engine; use judge ins"):
        output.waves[1].sum().backward()


def test_detached_outputs_may_be_used_anywhere(updates: OwnUpdates) -> None:
    x = torch.ones(1, requires_grad=True)
    (updates.watch(x * 2).detach() * x).sum().backward()
    assert x.grad is not None


def test_an_update_that_did_not_run_through_the_engine_is_an_error(updates: OwnUpdates) -> None:
    with torch.no_grad():
        updates.watch(torch.ones(1))  # a pass of a validation is none
    with pytest.raises(EngineError, match="judge is updated, but did not run through its engine"):
        with updates.backward():
            pass
    updates.watch(torch.ones(1))
    updates.end()
    with pytest.raises(EngineError, match="did not run"), updates.backward():
        pass
