"""One process; several ranks and all engines together: tests/integration/test_engines.py."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gsv2.training.distributed.ranks import Distributed
from gsv2.training.engines.engine import EngineError
from gsv2.training.engines.plain import PlainEngine

X = torch.tensor([[3.0, 4.0]])


def make(distributed: Distributed) -> tuple[PlainEngine, nn.Module]:
    module = nn.Linear(2, 1, bias=False)
    optimizer = torch.optim.SGD(module.parameters(), lr=1.0)
    return PlainEngine("line", module, optimizer, distributed), module


def test_a_step_is_clipped_to_the_norm_of_what_was_accumulated(distributed: Distributed) -> None:
    engine, module = make(distributed)
    before = module.weight.detach().clone()
    for is_last in (False, True):
        engine.backward(engine(X).sum(), is_last=is_last)
    assert engine.grad_norm().item() == pytest.approx(10.0)
    engine.step(5.0)
    torch.testing.assert_close(before - module.weight, X)
    assert module.weight.grad is None


def test_scaled_losses_give_the_same_norm_and_step(distributed: Distributed) -> None:
    engine, module = make(distributed)
    engine.loss_scale = 2.0**20
    before = module.weight.detach().clone()
    engine.backward(engine(X).sum(), is_last=True)
    assert engine.grad_norm().item() == 5.0
    engine.step(100.0)
    torch.testing.assert_close(before - module.weight, X)


def test_a_skipped_update_leaves_weights_and_no_gradients(distributed: Distributed) -> None:
    engine, module = make(distributed)
    before = module.weight.detach().clone()
    engine.backward(engine(X).sum(), is_last=True)
    engine.skip()
    assert torch.equal(before, module.weight)
    assert module.weight.grad is None


def test_the_bare_network_cannot_be_updated(distributed: Distributed) -> None:
    engine, module = make(distributed)
    with pytest.raises(EngineError, match="line is updated, but did not run through its engine"):
        engine.backward(module(X).sum(), is_last=True)


def test_a_state_goes_from_one_engine_to_another(distributed: Distributed) -> None:
    engine, _ = make(distributed)
    other, module = make(distributed)
    state = engine.capture()
    assert state is not None
    other.restore(state)
    assert torch.equal(module.weight, state.weights["weight"])
    other.train(False)
    assert not module.training


def test_it_holds_whole_parameters_and_foretells_their_moments(distributed: Distributed) -> None:
    module = nn.Linear(2, 3)
    engine = PlainEngine("line", module, torch.optim.AdamW(module.parameters()), distributed)
    whole = torch.ones(3, 2)
    assert engine.local_weights()["weight"] is module.weight
    assert engine.to_local("weight", whole) is engine.to_whole("weight", whole) is whole
    assert engine.pending_moment_bytes() == 2 * 4 * (6 + 3)
    engine.backward(engine(X).sum(), is_last=True)
    engine.grad_norm()
    engine.step(1.0)
    assert engine.pending_moment_bytes() == 0
