"""Speakers that differ from the others of a corpus: another microphone, wrong texts or labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from gsv2.data.building.statistics import SpeakerTotals

_MAD_TO_SIGMA = 1.4826  # of a normal distribution
_NUM_SIGMAS = 4.0
_LEAST = {"recorded_lufs": 6.0, "snr_db": 10.0, "bandwidth_hz": 2500.0, "letters_per_sec": 4.0}
"""Figure -> distance from the median that is odd at least, however alike the others are."""
_MIN_SPEAKERS = 5


class OddSpeaker(NamedTuple):
    """A speaker whose mean of a figure is far from those of the others."""

    speaker: str
    clips: int
    figure: str
    mean: float
    median: float
    """Median of the speakers' means."""


def odd_speakers(speakers: Mapping[str, SpeakerTotals]) -> list[OddSpeaker]:
    """Return the speakers that differ, the farthest first; none among fewer than five.

    Args:
        speakers: label -> totals; "" is nobody.
    """
    found: list[tuple[float, OddSpeaker]] = []
    for figure, least in _LEAST.items():
        named = [(label, of) for label, of in speakers.items() if label]
        means = [(label, of, m) for label, of in named if (m := of.mean(figure)) is not None]
        if len(means) < _MIN_SPEAKERS:
            continue
        values = np.array([mean for _, _, mean in means])  # [speakers]
        median = float(np.median(values))
        sigma = _MAD_TO_SIGMA * float(np.median(np.abs(values - median)))
        limit = max(_NUM_SIGMAS * sigma, least)
        for label, of, mean in means:
            if abs(mean - median) > limit:
                odd = OddSpeaker(label, of.clips, figure, mean, median)
                found.append((abs(mean - median) / limit, odd))
    return [odd for _, odd in sorted(found, key=lambda item: -item[0])]
