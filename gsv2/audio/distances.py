"""Distances of speech from a recording that has the same frames: cepstra, pitch, voicing."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

NUM_CEPSTRA = 13
"""Cepstral coefficients that are compared, beside the 0th, which is the level."""
_DECIBELS = 10 * math.sqrt(2) / math.log(10)
"""Factor of a distance of cepstra of natural logarithms of magnitudes."""


class PitchErrors(NamedTuple):
    """Errors of pitch, means over clips."""

    semitones: Tensor
    """[] mean absolute difference where both have a pitch; 0 where no frame has."""
    voicing: Tensor
    """[] share of frames of which only one has a pitch."""


def cepstral_distortion(predicted: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Return the mel-cepstral distortion in dB (Kubichek, 1993), frames as they are.

    Args:
        predicted: [B, num_mels, T] natural logarithms of mel magnitudes.
        target: [B, num_mels, T].
        mask: [B, T] bool, at least one valid frame each.

    Returns:
        [] float32: mean over a clip's frames, then over clips.
    """
    num_mels = predicted.shape[1]
    bands = torch.arange(num_mels, device=predicted.device) + 0.5
    orders = torch.arange(1, min(NUM_CEPSTRA + 1, num_mels), device=predicted.device)
    # log|X| = c_0 + 2 sum_m c_m cos(m w): the cosine transform (DCT-II), a mean over bands.
    basis = (math.pi / num_mels * orders[:, None] * bands).cos() / num_mels
    difference = basis @ (predicted.float() - target.float())  # [B, orders, T]
    frames = _DECIBELS * difference.square().sum(dim=1).sqrt()
    return _clip_mean(frames, mask)


def pitch_errors(predicted: Tensor, target: Tensor, mask: Tensor) -> PitchErrors:
    """Return how far a pitch is off.

    Args:
        predicted: [B, T] in Hz, 0 where there is none.
        target: [B, T] likewise.
        mask: [B, T] bool, at least one valid frame each.
    """
    both = (predicted > 0) & (target > 0) & mask
    octaves = predicted.clamp(min=1).log2() - target.clamp(min=1).log2()
    differs = ((predicted > 0) != (target > 0)).float()
    return PitchErrors(_clip_mean(12 * octaves.abs(), both), _clip_mean(differs, mask))


def _clip_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Return the mean over valid frames of a clip, then over clips."""
    return ((values * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)).mean()
