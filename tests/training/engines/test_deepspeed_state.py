"""One process; several ranks and all engines together: tests/integration/test_engines.py."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor
from torch.optim import Optimizer

from gsv2.training.engines.deepspeed import DeepSpeedEngine
from gsv2.training.engines.engine import EngineError, TrainableState
from gsv2.training.engines.host_copies import copy_to_host
from gsv2.training.engines.module_state import capture_module
from tests.support.tiny_network import (
    STAGES,
    Net,
    make_deepspeed,
    make_net,
    train_engine,
    train_plain,
)

pytestmark = pytest.mark.usefixtures("alone")
every_stage = pytest.mark.parametrize("stage", STAGES)


def trained_plainly(steps: int) -> tuple[Net, Optimizer]:
    module, optimizer = make_net(0)
    train_plain(module, optimizer, range(steps))
    return module, optimizer


def capture_plainly(module: Net, optimizer: Optimizer) -> TrainableState:
    return capture_module(module, optimizer, copy_to_host)


def assert_same(ours: TrainableState, theirs: TrainableState, tolerance: float = 0.0) -> None:
    for part in ("weights", "optimizer"):
        torch.testing.assert_close(
            dict(getattr(ours, part)), dict(getattr(theirs, part)), rtol=tolerance, atol=tolerance
        )


@every_stage
def test_a_state_is_what_plain_torch_has_and_goes_from_one_to_the_other_and_back(
    stage: int,
) -> None:
    """Names, frozen parameters, buffers, moments of both groups, counts of steps."""
    module, optimizer = trained_plainly(3)
    state = capture_plainly(module, optimizer)
    engine, _ = make_deepspeed(stage)
    train_engine(engine, range(3))
    assert_same(engine.capture(), state, 1e-6)

    engine, _ = make_deepspeed(stage, seed=1)  # another one, before its first step
    engine.restore(state)
    assert_same(engine.capture(), state)
    train_plain(module, optimizer, range(3, 5))
    train_engine(engine, range(3, 5))
    assert_same(engine.capture(), capture_plainly(module, optimizer), 1e-6)
    engine.restore(state)  # after steps of its own
    assert_same(engine.capture(), state)


@every_stage
def test_a_state_is_a_copy_on_the_way_out_and_on_the_way_in(stage: int) -> None:
    engine, _ = make_deepspeed(stage)
    train_engine(engine, range(2))
    state = engine.capture()
    before = TrainableState(*map(cloned, (state.weights, state.optimizer)))
    train_engine(engine, range(2, 3))
    assert_same(state, before)
    engine.restore(state)
    train_engine(engine, range(2, 3))
    assert_same(state, before)


def cloned(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in tensors.items()}


@every_stage
def test_before_the_first_step_there_are_no_moments_and_taking_such_a_state_forgets_them(
    stage: int,
) -> None:
    fresh = capture_plainly(*make_net(0))
    engine, _ = make_deepspeed(stage, seed=1)
    assert engine.capture().optimizer == {}
    train_engine(engine, range(2))
    engine.restore(fresh)
    assert_same(engine.capture(), fresh)
    train_engine(engine, range(3))
    assert_same(engine.capture(), capture_plainly(*trained_plainly(3)), 1e-6)


def check_refused(
    engine: DeepSpeedEngine, weights: Mapping[str, Tensor], moments: Mapping[str, Tensor], say: str
) -> None:
    before = engine.capture()
    with pytest.raises(EngineError, match=f"^the state is of another network: its .*{say}"):
        engine.restore(TrainableState(weights, moments))
    assert_same(engine.capture(), before)


@every_stage
def test_a_state_of_another_network_is_refused_by_the_tensor_and_nothing_of_it_is_taken(
    stage: int,
) -> None:
    """Missing, unknown and of another shape; ZeRO-3 would cut its pieces out of any."""
    state = capture_plainly(*trained_plainly(1))
    weights, moments = dict(state.weights), dict(state.optimizer)
    engine, _ = make_deepspeed(stage, seed=1)
    train_engine(engine, range(2))
    few = {name: t for name, t in weights.items() if name != "head.weight"}
    check_refused(engine, few, moments, r"have no head\.weight")
    check_refused(engine, {**weights, "tail": torch.ones(1)}, moments, "have an unknown tail")
    longer = {**weights, "head.bias": torch.ones(8)}
    check_refused(engine, longer, moments, r"head\.bias must .* \[4\], but has \[8\]")
    few = {name: t for name, t in moments.items() if name != "exp_avg_sq/norm.bias"}
    check_refused(engine, weights, few, r"have no exp_avg_sq/norm\.bias")
    more = {**moments, "exp_avg/still.bias": torch.ones(4)}
    check_refused(engine, weights, more, r"have an unknown exp_avg/still\.bias")
    longer = {**moments, "exp_avg/head.bias": torch.ones(8)}
    check_refused(engine, weights, longer, r"exp_avg/head\.bias must .* \[4\], but has \[8\]")


@every_stage
def test_every_tensor_is_copied_once_under_its_name(stage: int) -> None:
    """By the hand of whoever saves, who uses its memory again by the name."""
    engine, _ = make_deepspeed(stage)
    train_engine(engine, range(1))
    held: dict[str, Tensor] = {}

    def hold(name: str, tensor: Tensor) -> Tensor:
        assert name not in held
        held[name] = copy_to_host(name, tensor)
        return held[name]

    state = engine.capture(hold)
    assert held.keys() == {
        *(f"weights/{name}" for name in state.weights),
        *(f"optimizer/{name}" for name in state.optimizer),
    }
    assert all(held[f"weights/{name}"] is tensor for name, tensor in state.weights.items())
    assert all(held[f"optimizer/{name}"] is tensor for name, tensor in state.optimizer.items())
