"""Adversarial losses of durations, least squares over valid tokens (VITS2, 2307.16430, eq. 1, 2).

Means over a clip's tokens, then over clips, so that a clip's loss does not depend on its batch.
"""

from __future__ import annotations

import torch
from torch import Tensor


def duration_discriminator_loss(real: Tensor, fake: Tensor, mask: Tensor) -> Tensor:
    """Return the discriminator's loss: real must score 1, fake 0.

    Args:
        real: [B, S] logits of the durations of recordings.
        fake: [B, S] logits of predicted durations.
        mask: [B, S] bool; clips without a token give 0.

    Returns:
        [] float32.
    """
    return _mean((1 - real.float()).square() + fake.float().square(), mask)


def duration_adversarial_loss(fake: Tensor, mask: Tensor) -> Tensor:
    """Return the predictor's adversarial loss: fake must score 1.

    Args:
        fake: [B, S] logits of predicted durations.
        mask: [B, S] bool.

    Returns:
        [] float32.
    """
    return _mean((1 - fake.float()).square(), mask)


def length_error(predicted: Tensor, recorded: Tensor) -> Tensor:
    """Return the mean absolute difference of the logarithms of lengths.

    Args:
        predicted: [B] frames, at least 1.
        recorded: [B] frames, at least 1.

    Returns:
        [] float32; 0.1 = a tenth too long or too short.
    """
    return (predicted.float().log() - recorded.float().log()).abs().mean()


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    kept = torch.where(mask, values, torch.zeros_like(values))
    return (kept.sum(dim=1) / mask.sum(dim=1).clamp(min=1)).mean()
