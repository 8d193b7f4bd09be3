"""Fake floats: live bytes by hand, real whole numbers, and networks as they were afterwards."""

import pytest
import torch
from torch import nn

from gsv2.training.fake_floats import FakeFloats

KIB = 1024
"""Bytes of 16 x 16 numbers of four bytes."""


def test_bytes_count_while_somebody_holds_them() -> None:
    floats = FakeFloats()
    x = floats.fake(torch.zeros(16, 16))
    with floats:
        y = x * 2
        assert floats.live_bytes == KIB
        z = y + y
        assert floats.live_bytes == 2 * KIB
        del y
        assert (floats.live_bytes, floats.peak_bytes) == (KIB, 2 * KIB)
        view = z.T[:3]
        assert floats.live_bytes == KIB, "a view has no storage of its own"
        del z, view
    assert (floats.live_bytes, floats.peak_bytes) == (0, 2 * KIB)


def test_what_the_backward_pass_needs_is_alive_until_it_is_done() -> None:
    floats, layer = FakeFloats(), nn.Linear(16, 16, bias=False)
    x = floats.fake(torch.zeros(16, 16))
    with floats.faked(layer), floats:
        loss = layer(x).exp().sum()
        held = floats.live_bytes
        loss.backward()
        del loss
        assert held >= KIB > floats.live_bytes - KIB, "the gradient alone stays"


@pytest.mark.parametrize("fails", [False, True])
def test_parameters_are_the_real_ones_afterwards_also_after_an_error(fails: bool) -> None:
    first, second = nn.Linear(4, 4), nn.Linear(4, 4)
    second.weight = first.weight
    before = [first.weight, first.bias, second.weight, second.bias]
    floats = FakeFloats()
    try:
        with floats.faked(first, second):
            assert first.weight is second.weight is not before[0]
            if fails:
                raise KeyError
    except KeyError:
        assert fails
    after = [first.weight, first.bias, second.weight, second.bias]
    assert all(one is other for one, other in zip(before, after, strict=True))


def test_whole_numbers_are_real_and_masks_give_shapes() -> None:
    floats = FakeFloats()
    x = floats.fake(torch.zeros(5, 2))
    with floats:
        mask = torch.arange(5) < 3
        assert int(mask.sum()) == 3
        assert x[mask].shape == (3, 2)
