"""Losses of durations against references of a line, and that clips do not depend on others."""

from __future__ import annotations

import math

import torch

from gsv2.losses.durations import (
    duration_adversarial_loss,
    duration_discriminator_loss,
    length_error,
)

REAL = torch.tensor([[0.9, 0.2, 7.0], [0.5, 9.0, 9.0]])
FAKE = torch.tensor([[0.1, 0.4, 7.0], [0.3, 9.0, 9.0]])
MASK = torch.tensor([[True, True, False], [True, False, False]])


def test_the_losses_are_least_squares_over_valid_tokens() -> None:
    first = ((0.1**2 + 0.1**2) + (0.8**2 + 0.4**2)) / 2
    second = 0.5**2 + 0.3**2
    loss = duration_discriminator_loss(REAL, FAKE, MASK)
    torch.testing.assert_close(loss.item(), (first + second) / 2)
    wanted = ((0.9**2 + 0.6**2) / 2 + 0.7**2) / 2
    torch.testing.assert_close(duration_adversarial_loss(FAKE, MASK).item(), wanted)


def test_a_clip_without_a_token_gives_0() -> None:
    nothing = torch.zeros(1, 3, dtype=torch.bool)
    assert duration_adversarial_loss(FAKE[:1] * torch.nan, nothing).item() == 0


def test_the_length_error_is_in_logarithms() -> None:
    error = length_error(torch.tensor([20, 10]), torch.tensor([10, 20]))
    torch.testing.assert_close(error.item(), math.log(2))
