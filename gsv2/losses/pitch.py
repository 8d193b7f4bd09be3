"""Pitch loss: distance of a predicted contour from that of a recording."""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn import functional as F


def pitch_loss(log_hz: Tensor, voiced: Tensor, target: Tensor) -> Tensor:
    """Return the distance in octaves where there is a pitch, plus the cross-entropy of there being.

    Args:
        log_hz: [B, T] predicted logarithm of the pitch in Hz.
        voiced: [B, T] logits of there being one.
        target: [B, T] in Hz, 0 where there is none.

    Returns:
        [].
    """
    is_voiced = target > 0
    octaves = (log_hz.float() - target.clamp(min=1.0).log()).abs() / math.log(2)
    distance = (octaves * is_voiced).sum() / is_voiced.sum().clamp(min=1)
    return distance + F.binary_cross_entropy_with_logits(voiced.float(), is_voiced.float())
