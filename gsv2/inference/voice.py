"""Voice of references: what a waveform is spoken in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from gsv2.audio.pitch import median_pitch
from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.inference.references import Reference

_MIN_VOICED_FRAMES = 10
"""Fewer frames with a pitch, a fifth of a second, do not say a voice's."""


class Voice(NamedTuple):
    """What a waveform is spoken in."""

    style: Tensor
    """[1, dim]."""
    pitch_hz: float
    """Median pitch; 0 where none was found."""


def fuse_pitches(references: Sequence[Reference]) -> float:
    """Return the mean in Hz, by weight and over intervals, of the median pitches of references.

    0 where none of them has a pitch.
    """
    total = octaves = 0.0
    for reference in references:
        hz = median_pitch(reference.wave, SAMPLE_RATE, _MIN_VOICED_FRAMES)
        if hz is not None:
            total += reference.weight
            octaves += reference.weight * math.log2(hz)
    return 2 ** (octaves / total) if total > 0 else 0.0
