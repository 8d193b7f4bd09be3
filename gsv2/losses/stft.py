"""Multi-resolution STFT loss (Parallel WaveGAN, arXiv 1910.11480, equations 4 to 6), in fp32.

We differ in that each clip has its own spectral convergence, so that the loss does not depend on
which clips share a batch, and in that a silent target does not make it infinite.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_QUIET = 0.05
"""Least root mean square that a target's magnitude counts with: that of noise 60 dB below full
scale, in a window of some thousand samples."""


def stft_loss(predicted: Sequence[Tensor], target: Sequence[Tensor]) -> Tensor:
    """Return spectral convergence plus distance of log magnitudes, mean over resolutions.

    Args:
        predicted: [B, bins, T] magnitudes of each resolution, all above 0.
        target: the same of the recordings.

    Returns:
        [] float32; 0 without a resolution.
    """
    terms = [
        spectral_convergence(fake, real) + log_magnitude_distance(fake, real)
        for fake, real in zip(predicted, target, strict=True)
    ]
    return torch.stack(terms).mean() if terms else torch.zeros(())


def spectral_convergence(predicted: Tensor, target: Tensor) -> Tensor:
    """Return the norm of the difference as a share of the target's, mean over clips.

    Args:
        predicted: [B, bins, T] magnitudes.
        target: [B, bins, T] magnitudes.

    Returns:
        [] float32.
    """
    difference = torch.linalg.vector_norm(predicted.float() - target.float(), dim=(1, 2))
    level = torch.linalg.vector_norm(target.float(), dim=(1, 2))
    quiet = _QUIET * target[0].numel() ** 0.5
    return (difference / level.clamp(min=quiet)).mean()


def log_magnitude_distance(predicted: Tensor, target: Tensor) -> Tensor:
    """Return the mean absolute difference of the natural logarithms.

    Args:
        predicted: [B, bins, T] magnitudes above 0.
        target: [B, bins, T] magnitudes above 0.

    Returns:
        [] float32.
    """
    return (predicted.float().log() - target.float().log()).abs().mean()
