"""What goes from one engine into a checkpoint, and from there into another engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import FrozenInstanceError, replace

import pytest
import torch
from torch import Tensor

from gsv2.training.distributed.ranks import Distributed
from gsv2.training.ema import WeightAverage
from gsv2.training.engines.engine import EngineError, TrainableState
from gsv2.training.engines.host_copies import copy_to_host
from gsv2.training.engines.plain import PlainEngine
from gsv2.training.optim import OptimConfig, make_optimizer
from gsv2.training.schedule import make_scheduler, seek_schedule
from gsv2.training.stage import Trainable
from tests.support.tiny_network import Net, loss_of

OPTIM = OptimConfig(lr=0.1, warmup_steps=2, ema_decay=0.9)
STEPS = 6


def make(seed: int, distributed: Distributed) -> Trainable:
    torch.manual_seed(seed)
    module = Net()
    optimizer = make_optimizer(module, OPTIM)
    trainable = Trainable(
        kind="gpt",
        module=module,
        config={},
        optimizer=optimizer,
        scheduler=make_scheduler(optimizer, OPTIM, STEPS),
        max_grad_norm=1.0,
    )
    trainable.engine = PlainEngine("net", module, optimizer, distributed)
    trainable.average = WeightAverage(module, trainable.engine, OPTIM.ema_decay)
    return trainable


def train(trainable: Trainable, start: int, stop: int) -> None:
    for step in range(start, stop):
        x = torch.randn(5, 3, generator=torch.Generator().manual_seed(step))
        trainable.engine.backward(loss_of(trainable(x)), is_last=True)
        trainable.engine.grad_norm()
        trainable.engine.step(1.0)
        trainable.scheduler.step()
        trainable.average.update(step + 1)


def capture(trainable: Trainable) -> TrainableState:
    state = trainable.engine.capture()
    return replace(state, average=trainable.average.merge(state.weights, copy_to_host))


def restore(trainable: Trainable, state: TrainableState, step: int) -> None:
    trainable.engine.restore(state)
    trainable.average.restore(state.average)
    seek_schedule(trainable.scheduler, step)


def reverse(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return dict(reversed(tensors.items()))


@pytest.fixture
def trained(distributed: Distributed) -> Trainable:
    trainable = make(0, distributed)
    train(trainable, 0, 3)
    return trainable


def assert_same(ours: TrainableState, theirs: TrainableState) -> None:
    for part in ("weights", "optimizer", "average"):
        torch.testing.assert_close(
            dict(getattr(ours, part)), dict(getattr(theirs, part)), rtol=0, atol=0
        )


def test_training_goes_on_from_names_alone_as_if_unbroken(
    trained: Trainable, distributed: Distributed
) -> None:
    """Weights, moments, rate and average to the last bit, whatever the order of the entries."""
    state = capture(trained)
    other = make(1, distributed)
    train(other, 0, 1)
    restore(other, TrainableState(*map(reverse, vars(state).values())), 3)
    assert_same(capture(other), state)
    rates = []
    for trainable in (trained, other):
        rates.append(trainable.scheduler.get_last_lr())
        train(trainable, 3, STEPS)
    assert rates[0] == rates[1]
    assert_same(capture(other), capture(trained))


def test_names_and_shapes_are_those_of_the_bare_network(trained: Trainable) -> None:
    state, module = capture(trained), trained.module
    assert state.weights.keys() == state.average.keys() == module.state_dict().keys()
    expected = {
        f"{key}/{name}": () if key == "step" else tuple(parameter.shape)
        for name, parameter in module.named_parameters()
        for key in ("step", "exp_avg", "exp_avg_sq")
        if parameter.requires_grad
    }
    assert {name: tuple(t.shape) for name, t in state.optimizer.items()} == expected
    assert torch.equal(state.average["still.weight"], module.still.weight)
    assert torch.equal(state.average["count"], module.count)
    assert not torch.equal(state.average["head.weight"], module.head.weight)


def test_a_state_is_of_its_moment_and_on_the_host(trained: Trainable) -> None:
    state = capture(trained)
    before = [{n: t.clone() for n, t in part.items()} for part in vars(state).values()]
    train(trained, 3, 5)
    assert_same(state, TrainableState(*before))
    tensors = [t for part in vars(state).values() for t in part.values()]
    assert {t.device.type for t in tensors} == {"cpu"}
    assert not any(t.requires_grad for t in tensors)


def test_a_state_cannot_be_given_other_parts_and_shares_none() -> None:
    state = TrainableState({}, {})
    with pytest.raises(FrozenInstanceError):
        state.weights = {}  # type: ignore[misc]
    assert state.average == {}
    assert state.average is not TrainableState({}, {}).average


def without(name: str) -> Callable[[dict[str, Tensor]], None]:
    return lambda tensors: tensors.pop(name)


def with_(name: str, *shape: int) -> Callable[[dict[str, Tensor]], None]:
    return lambda tensors: tensors.update({name: torch.ones(shape)})


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        ("weights", without("norm.bias"), r"weights tensors have no norm\.bias \(1 names differ"),
        ("weights", without("count"), "weights tensors have no count"),
        ("weights", with_("tail.bias", 4), r"weights tensors have an unknown tail\.bias"),
        (
            "weights",
            with_("head.weight", 4, 1),
            r"head\.weight .* \[4, 3\], but has \[4, 1\]",
        ),
        ("weights", with_("count", 3), r"weights tensor count must .* \[2\], but has \[3\]"),
        (
            "optimizer",
            without("exp_avg/head.bias"),
            r"tensors have no exp_avg/head\.bias",
        ),
        ("optimizer", without("step/norm.bias"), r"optimizer tensors have no step/norm\.bias"),
        ("optimizer", with_("exp_avg/still.bias", 4), r"an unknown exp_avg/still\.bias"),
        ("optimizer", with_("exp_avg/tail.bias", 4), r"an unknown exp_avg/tail\.bias"),
        (
            "optimizer",
            with_("exp_avg_sq/norm.bias", 1),
            r"avg_sq/norm\.bias .*\[4\].* has \[1\]",
        ),
        ("optimizer", with_("step/norm.bias", 4), r"step/norm\.bias .* shape \[\], but has \[4\]"),
        ("average", without("head.bias"), r"average tensors have no head\.bias"),
        ("average", with_("norm.weight", 1), r"average tensor norm\.weight .*\[4\], but has \[1\]"),
    ],
)
def test_a_state_of_another_network_is_refused_by_the_tensor_and_nothing_of_it_is_taken(
    trained: Trainable,
    distributed: Distributed,
    part: str,
    change: Callable[[dict[str, Tensor]], None],
    message: str,
) -> None:
    tensors = dict(getattr(capture(trained), part))
    change(tensors)
    other = make(1, distributed)
    train(other, 0, 1)
    before = capture(other)
    with pytest.raises(EngineError, match=f"^the state is of another network: its .*{message}"):
        other.engine.restore(replace(capture(trained), **{part: tensors}))
    assert_same(capture(other), before)


def test_a_state_from_before_the_first_step_has_no_moments_and_is_taken(
    distributed: Distributed,
) -> None:
    fresh, other = make(0, distributed), make(1, distributed)
    train(other, 0, 2)
    state = capture(fresh)
    assert state.optimizer == {}
    restore(other, state, 0)
    for trainable in (fresh, other):
        train(trainable, 0, 2)
    assert_same(capture(other), capture(fresh))
