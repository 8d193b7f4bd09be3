from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from gsv2.nn.flops import flop_counter

SHAPES = {1: (2, 12, 10), 2: (2, 12, 10, 6)}


def count(counter: FlopCounterMode, layer: nn.Module, inputs: torch.Tensor) -> int:
    with counter:
        layer(inputs).sum().backward()
    return counter.get_total_flops()


def make(dims: int, transposed: bool, channels: int, groups: int) -> nn.Module:
    kinds = {
        (1, False): nn.Conv1d, (1, True): nn.ConvTranspose1d,
        (2, False): nn.Conv2d, (2, True): nn.ConvTranspose2d,
    }  # fmt: skip
    return kinds[dims, transposed](channels, 2 * channels, 3, stride=2, padding=1, groups=groups)


@pytest.mark.parametrize("needs_input", [True, False])
@pytest.mark.parametrize("groups", [1, 3, 12])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("dims", [1, 2])
def test_groups_cost_what_as_many_convolutions_side_by_side_do(
    dims: int, transposed: bool, groups: int, needs_input: bool
) -> None:
    """Torch counts those rightly that have no groups."""
    B, C, *rest = SHAPES[dims]
    together = torch.zeros(B, C, *rest, requires_grad=needs_input)
    alone = torch.zeros(B, C // groups, *rest, requires_grad=needs_input)
    counted = count(flop_counter(), make(dims, transposed, C, groups), together)
    reference = FlopCounterMode(display=False)
    assert counted == groups * count(reference, make(dims, transposed, C // groups, 1), alone)


def test_torch_still_counts_too_many() -> None:
    """Once this fails, its own counter will do."""
    inputs = torch.zeros(2, 64, 50, requires_grad=True)
    layer = nn.Conv1d(64, 64, 7, padding=3, groups=64)
    wrong = count(FlopCounterMode(display=False), layer, inputs)
    assert wrong == 22 * count(flop_counter(), layer, inputs)
