from __future__ import annotations

import pytest
import torch

from gsv2.training.precision.loss_scale import MAX_SCALE, LossScale


def test_the_scale_moves_like_torchs_own() -> None:
    scale = LossScale(value=2.0**10, growth_steps=3)
    reference = torch.amp.GradScaler(
        "cpu", init_scale=2.0**10, growth_interval=3, growth_factor=2.0, backoff_factor=0.5
    )
    parameter = torch.nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([parameter], lr=0.0)
    for is_finite in (True, True, True, False, True, False, False, True, True, True, True):
        parameter.grad = torch.ones(1) if is_finite else torch.full((1,), torch.inf)
        reference.scale(torch.ones(1))
        reference.step(optimizer)
        reference.update()
        scale.update(is_finite)
        assert scale.value == reference.get_scale()


def test_an_overflow_is_the_scales_own_doing_until_it_is_one() -> None:
    scale = LossScale(value=2.0)
    assert scale.update(False)
    assert scale.value == 1.0
    assert not scale.update(False)
    assert scale.value == 1.0


def test_the_scale_stays_below_its_limit() -> None:
    scale = LossScale(value=MAX_SCALE, growth_steps=1)
    assert not scale.update(True)
    assert scale.value == pytest.approx(MAX_SCALE)
