from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gsv2.training.engines.gradient_watch import GradientWatch, StageError
from gsv2.training.stage import Trainable
from tests.training.toy import ToyStage, toy_config

X = torch.ones(1, 8)


@pytest.fixture
def trainables(tmp_path: Path) -> dict[str, Trainable]:
    return ToyStage(toy_config(tmp_path), torch.device("cpu")).trainables


def test_an_update_that_reaches_its_network_alone_passes(trainables: dict[str, Trainable]) -> None:
    watch = GradientWatch(trainables)
    for _ in range(2):
        with trainables["discriminator"].frozen() as judge:
            judge(trainables["generator"](X)).sum().backward()
        watch.check("generator")


def test_a_gradient_for_another_network_is_an_error(trainables: dict[str, Trainable]) -> None:
    watch = GradientWatch(trainables)
    trainables["discriminator"].module(trainables["generator"](X)).sum().backward()
    with pytest.raises(StageError, match=r"generator sent a gradient to discriminator\.layers"):
        watch.check("generator")


def test_a_parameter_without_a_gradient_is_an_error(trainables: dict[str, Trainable]) -> None:
    watch = GradientWatch(trainables)
    trainables["generator"].module.layers[0](X).sum().backward()
    with pytest.raises(StageError, match=r"generator: parameter layers\.3\.\w+ got no gradient"):
        watch.check("generator")


def test_frozen_parameters_need_none_and_nothing_is_left_when_closed(
    trainables: dict[str, Trainable],
) -> None:
    still = trainables["generator"].module.layers[3]
    still.requires_grad_(False)
    watch = GradientWatch(trainables)
    trainables["generator"](X).sum().backward()
    watch.check("generator")
    watch.close()
    trainables["discriminator"](X).sum().backward()
    with pytest.raises(StageError, match="got no gradient"):
        watch.check("discriminator")
