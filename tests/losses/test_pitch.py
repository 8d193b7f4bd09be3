import math

import pytest
import torch

from gsv2.losses.pitch import pitch_loss


def test_an_octave_costs_1_where_there_is_a_pitch_and_nothing_where_there_is_none():
    target = torch.tensor([[100.0, 200.0, 0.0, 0.0]])
    log_hz = torch.tensor([[200.0, 200.0, 77.0, 400.0]]).log()
    sure = torch.tensor([[50.0, 50.0, -50.0, -50.0]])
    assert pitch_loss(log_hz, sure, target).item() == pytest.approx(
        0.5
    )  # a mean over voiced frames
    unsure = torch.zeros(1, 4)
    expected = pytest.approx(0.5 + math.log(2))
    assert pitch_loss(log_hz, unsure, target).item() == expected


def test_silence_has_a_finite_loss_and_gradient():
    log_hz, voiced = torch.zeros(1, 3, requires_grad=True), torch.zeros(1, 3, requires_grad=True)
    pitch_loss(log_hz, voiced, torch.zeros(1, 3)).backward()
    assert not log_hz.grad.any()
    assert (voiced.grad > 0).all()
