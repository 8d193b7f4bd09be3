"""Reconstruction loss: L1 distance of log-mel spectrograms (HiFi-GAN, arXiv 2010.05646, eq. 3).

Of one resolution, or of several, which hear pitch and plosives alike (DAC, arXiv 2306.06546,
section 3.4).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def mel_distance(predicted: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return the mean absolute difference: over a clip's frames and bands, then over clips.

    Args:
        predicted: [B, num_mels, T] log-mel.
        target: [B, num_mels, T] log-mel.
        mask: [B, T] with at least one valid frame each, or None = all valid.

    Returns:
        [] float32.
    """
    frames = (predicted.float() - target.float()).abs().mean(dim=1)  # [B, T]
    if mask is None:
        return frames.mean()
    return ((frames * mask).sum(dim=1) / mask.sum(dim=1)).mean()


def multi_mel_distance(predicted: Sequence[Tensor], target: Sequence[Tensor]) -> Tensor:
    """Return the mean over resolutions of the distance, all frames valid.

    Args:
        predicted: [B, num_mels, T] log-mel of each resolution.
        target: the same of the recordings.

    Returns:
        [] float32.
    """
    pairs = zip(predicted, target, strict=True)
    return torch.stack([mel_distance(fake, real) for fake, real in pairs]).mean()
