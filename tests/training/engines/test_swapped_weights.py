from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from enum import Enum
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from gsv2.training.engines.engine import EngineError
from gsv2.training.engines.swapped_weights import swapped_partitions, swapped_weights
from gsv2.training.stage import Trainable

X = torch.ones(2, 3)
Swap = Callable[[nn.Module, Mapping[str, Tensor]], AbstractContextManager[None]]


class Status(Enum):
    """Of ZeRO-3, by its own names."""

    AVAILABLE = 1
    NOT_AVAILABLE = 2


class Pieces:
    """Parameters that are whole inside a context only: the piece of ZeRO-3's only rank."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        for parameter in module.parameters():
            parameter.ds_tensor = parameter.data.flatten().clone()
            parameter.ds_shape = parameter.shape
            parameter.ds_active_sub_modules = set()
            parameter.partition = partial(self._cut, parameter)
            parameter.partition()

    def swap(
        self, module: nn.Module, weights: Mapping[str, Tensor]
    ) -> AbstractContextManager[None]:
        pieces = {name: value.flatten() for name, value in weights.items()}
        return swapped_partitions(dict(module.named_parameters()), pieces)

    def read(self) -> dict[str, Tensor]:
        """Return what a pass would compute with; the first parameter is small, and stays whole."""
        for parameter in self._module.parameters():
            if parameter.ds_status is Status.NOT_AVAILABLE:
                parameter.data = parameter.ds_tensor.clone().view(parameter.ds_shape)
                parameter.ds_status = Status.AVAILABLE
        values = whole(self._module)
        for parameter in list(self._module.parameters())[1:]:
            parameter.partition()
        return values

    @staticmethod
    def _cut(parameter: nn.Parameter) -> None:
        assert not parameter.ds_active_sub_modules, "DeepSpeed refuses"
        parameter.data = torch.empty(0)
        parameter.ds_status = Status.NOT_AVAILABLE


def swap_whole(module: nn.Module, weights: Mapping[str, Tensor]) -> AbstractContextManager[None]:
    return swapped_weights(dict(module.named_parameters()), weights)


def whole(module: nn.Module) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in module.named_parameters()}


@pytest.fixture
def module() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))


@pytest.fixture
def others() -> dict[str, Tensor]:
    return {"0.weight": torch.full((4, 3), 2.0), "2.bias": torch.full((1,), 3.0)}


@pytest.fixture(params=["whole", "shards"])
def swapping(request: pytest.FixtureRequest, module: nn.Module) -> tuple[Swap, Callable]:
    """How to swap, and how to read the parameters: of a whole network, and of a sharded one."""
    if request.param == "whole":
        return swap_whole, lambda: whole(module)
    pieces = Pieces(module)
    return pieces.swap, pieces.read


def test_inside_are_the_swapped_weights_and_after_it_the_own_ones(
    swapping: tuple[Swap, Callable], module: nn.Module, others: dict[str, Tensor]
) -> None:
    swap, read = swapping
    before = read()
    with swap(module, others):
        assert_equal(read(), {**before, **others})
    assert_equal(read(), before)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_the_own_weights_are_back_whatever_ends_it(
    swapping: tuple[Swap, Callable],
    module: nn.Module,
    others: dict[str, Tensor],
    error: type[BaseException],
) -> None:
    swap, read = swapping
    before = read()
    with pytest.raises(error), swap(module, others):
        raise error
    assert_equal(read(), before)


@pytest.mark.parametrize("shape", [(), (2,), (1, 1)])
def test_values_of_another_shape_are_refused_by_name_and_nothing_is_swapped(
    module: nn.Module, others: dict[str, Tensor], shape: tuple[int, ...]
) -> None:
    """The entry before them does fit."""
    before = whole(module)
    message = (
        rf"swapped into 2\.bias must have the shape \[1\], but has {re.escape(str(list(shape)))}$"
    )
    with pytest.raises(EngineError, match=message):
        with swap_whole(module, {**others, "2.bias": torch.zeros(shape)}):
            pytest.fail("it was swapped")
    assert_equal(whole(module), before)


def test_a_loan_within_a_loan_gives_back_to_the_outer_one(
    swapping: tuple[Swap, Callable], module: nn.Module, others: dict[str, Tensor]
) -> None:
    swap, read = swapping
    with swap(module, others):
        outer = read()
        with swap(module, {"0.weight": torch.zeros(4, 3)}):
            assert not read()["0.weight"].any()
        assert_equal(read(), outer)


def test_what_is_swapped_in_stays_as_it_was(
    swapping: tuple[Swap, Callable], module: nn.Module, others: dict[str, Tensor]
) -> None:
    swap, _ = swapping
    before = {name: value.clone() for name, value in others.items()}
    for _ in range(2):
        with swap(module, others):
            pass
    assert_equal(others, before)


@pytest.mark.parametrize("context", [torch.no_grad, torch.enable_grad])
def test_frozen_networks_take_other_weights_and_come_back_frozen(
    swapping: tuple[Swap, Callable],
    module: nn.Module,
    others: dict[str, Tensor],
    context: Callable[[], AbstractContextManager],
) -> None:
    """In a validation (no gradients) of a network that another one's update has frozen."""
    swap, read = swapping
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda done: 1.0)
    trainable = Trainable(
        kind="gpt",
        module=module,
        config={},
        optimizer=optimizer,
        scheduler=schedule,
        max_grad_norm=1.0,
    )
    before = read()
    with trainable.frozen() as frozen, context():
        with swap(frozen, others):
            assert_equal(read(), {**before, **others})
            assert not any(p.requires_grad for p in module.parameters())
        assert not any(p.requires_grad for p in module.parameters())
    assert all(p.requires_grad and p.grad is None for p in module.parameters())
    assert_equal(read(), before)


def test_a_whole_network_is_given_memory_and_not_copies(
    module: nn.Module, others: dict[str, Tensor]
) -> None:
    """An optimizer goes on with the memory that it knows."""
    memory = [p.data_ptr() for p in module.parameters()]
    with swap_whole(module, others):
        assert module[0].weight.data_ptr() == others["0.weight"].data_ptr()
    assert [p.data_ptr() for p in module.parameters()] == memory


def test_weights_in_another_dtype_become_that_of_the_parameter(
    module: nn.Module,
) -> None:
    wide = {"0.weight": torch.full((4, 3), 2.0, dtype=torch.float64)}
    with swap_whole(module, wide):
        assert module(X).dtype == torch.float32
        assert (module[0].weight == 2.0).all()


def test_training_goes_on_as_if_nothing_had_been_swapped(module: nn.Module) -> None:
    """Also with a graph that was made before the loan, and used after it."""
    twin = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    twin.load_state_dict(module.state_dict())
    strange = {name: torch.randn_like(p) for name, p in module.named_parameters()}
    ends = []
    for network, is_swapped in ((module, True), (twin, False)):
        optimizer = torch.optim.AdamW(network.parameters(), lr=0.1)
        for _ in range(3):
            loss = network(X).square().sum()
            if is_swapped:
                with torch.no_grad(), swap_whole(network, strange):
                    network(X)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        ends.append(whole(network))
    assert_equal(*ends)


def test_a_pass_that_fails_over_swapped_pieces_is_not_hidden_by_what_it_left_open(
    module: nn.Module, others: dict[str, Tensor]
) -> None:
    """DeepSpeed drops no parameter that a layer still uses."""
    pieces = Pieces(module)

    def fail() -> None:
        pieces.read()
        module[0].weight.ds_active_sub_modules.add(0)
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"), pieces.swap(module, others):
        fail()


def assert_equal(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> None:
    torch.testing.assert_close(dict(ours), dict(theirs), rtol=0, atol=0)
