"""Masks of padded batches: bool, True = valid."""

from __future__ import annotations

import torch
from torch import Tensor


def length_mask(lengths: Tensor, size: int) -> Tensor:
    """Return which positions lie within each item.

    Args:
        lengths: [B] int64.
        size: padded length, T.

    Returns:
        [B, T] bool.
    """
    return torch.arange(size, device=lengths.device) < lengths.unsqueeze(-1)
