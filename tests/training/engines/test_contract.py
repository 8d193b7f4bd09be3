from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from gsv2.training.engines.contract import EngineContract, GradientContract, StageError
from gsv2.training.engines.engine import EngineError
from gsv2.training.stage import Trainable
from tests.support.toy_stage import ToyStage, toy_config


class Output(NamedTuple):
    waves: list[Tensor]
    length: int


@pytest.fixture
def updates() -> EngineContract:
    return EngineContract("judge")


def test_an_update_of_its_own_passes(updates: EngineContract) -> None:
    network = nn.Linear(2, 1)
    loss = updates.watch(network(torch.ones(1, 2))).sum()
    with updates.backward():
        loss.backward()
    assert network.weight.grad is not None


def test_gradients_of_another_update_are_an_error_wherever_the_output_holds_them(
    updates: EngineContract,
) -> None:
    x = torch.ones(1, 2, requires_grad=True)
    output = updates.watch(Output([x * 1, x * 2], 3))
    with pytest.raises(EngineError, match=r"sends gradients through judge's engine; use judge ins"):
        output.waves[1].sum().backward()


def test_detached_outputs_may_be_used_anywhere(updates: EngineContract) -> None:
    x = torch.ones(1, requires_grad=True)
    (updates.watch(x * 2).detach() * x).sum().backward()
    assert x.grad is not None


def test_an_update_that_did_not_run_through_the_engine_is_an_error(updates: EngineContract) -> None:
    with torch.no_grad():
        updates.watch(torch.ones(1))  # a pass of a validation is none
    with pytest.raises(EngineError, match="judge is updated, but did not run through its engine"):
        with updates.backward():
            pass
    updates.watch(torch.ones(1))
    updates.end()
    with pytest.raises(EngineError, match="did not run"), updates.backward():
        pass


X = torch.ones(1, 8)


def modules_of(trainables: dict[str, Trainable]) -> dict[str, nn.Module]:
    return {name: trainable.module for name, trainable in trainables.items()}


@pytest.fixture
def trainables(tmp_path: Path) -> dict[str, Trainable]:
    return ToyStage(toy_config(tmp_path), torch.device("cpu")).trainables


def test_an_update_that_reaches_its_network_alone_passes(trainables: dict[str, Trainable]) -> None:
    watch = GradientContract(modules_of(trainables))
    for _ in range(2):
        with trainables["discriminator"].frozen() as judge:
            judge(trainables["generator"](X)).sum().backward()
        watch.check("generator")


def test_a_gradient_for_another_network_is_an_error(trainables: dict[str, Trainable]) -> None:
    watch = GradientContract(modules_of(trainables))
    trainables["discriminator"].module(trainables["generator"](X)).sum().backward()
    with pytest.raises(StageError, match=r"generator sent a gradient to discriminator\.layers"):
        watch.check("generator")


def test_a_parameter_without_a_gradient_is_an_error(trainables: dict[str, Trainable]) -> None:
    watch = GradientContract(modules_of(trainables))
    trainables["generator"].module.layers[0](X).sum().backward()
    with pytest.raises(StageError, match=r"generator: parameter layers\.3\.\w+ got no gradient"):
        watch.check("generator")


def test_frozen_parameters_need_none_and_nothing_is_left_when_closed(
    trainables: dict[str, Trainable],
) -> None:
    still = trainables["generator"].module.layers[3]
    still.requires_grad_(False)
    watch = GradientContract(modules_of(trainables))
    trainables["generator"](X).sum().backward()
    watch.check("generator")
    watch.close()
    trainables["discriminator"](X).sum().backward()
    with pytest.raises(StageError, match="got no gradient"):
        watch.check("discriminator")
