"""Voice of references: what a waveform is spoken in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from torch import Tensor

from gsv2.audio.pitch import median_pitch

_MIN_VOICED_FRAMES = 10
"""Fewer frames with a pitch, a fifth of a second, do not say a voice's."""


class Voice(NamedTuple):
    """What a waveform is spoken in."""

    style: Tensor
    """[1, dim]."""
    pitch_hz: float
    """Median pitch; 0 where none was found."""
    own_hz: float = 0.0
    """Median pitch with which the waveform model speaks codes of its prompts; 0 = not known."""


def voice_pitch(wave: np.ndarray, sample_rate: int) -> float:
    """Return the median pitch in Hz of a recording [N] at a rate in Hz; 0 where none is found."""
    return median_pitch(wave, sample_rate, _MIN_VOICED_FRAMES) or 0.0


def fuse_pitches(pitches_hz: Sequence[float], weights: Sequence[float]) -> float:
    """Return the mean in Hz, by weight and over intervals, of pitches.

    Those that are 0 do not count; 0 where none is left.
    """
    voiced = [(hz, weight) for hz, weight in zip(pitches_hz, weights, strict=True) if hz > 0]
    total = sum(weight for _, weight in voiced)
    octaves = sum(weight * math.log2(hz) for hz, weight in voiced)
    return 2 ** (octaves / total) if total > 0 else 0.0
