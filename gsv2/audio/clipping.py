"""Clipping of a recording: which share of its samples lies at a ceiling.

Resampling and lossy codecs bend the flat tops of clipped waves, so samples are not compared with
full scale but with each other: fewer and fewer samples of speech have a level, the higher it is,
and of clipped speech many have that of the ceiling.
"""

from __future__ import annotations

import numpy as np

_BINS = 100
"""Levels that are told apart, up to the largest sample."""
_WIDTH = 6
"""Levels around the ceiling of samples that were bent after they were clipped."""
_LOWEST = 30
"""Lowest level of a ceiling: what lies above comes of bending too."""


def clipped_share(wave: np.ndarray) -> float:
    """Return the share of samples at the ceiling; speech that was not clipped has below .002.

    Args:
        wave: [N] float32, at any level.
    """
    levels = np.abs(wave)
    if not (peak := levels.max(initial=0.0)) > 0:
        return 0.0
    places = (levels * (_BINS / peak)).astype(np.uint8)
    lowest = _LOWEST - _WIDTH  # most samples of speech lie below, and are not counted
    counts = np.bincount(places[places >= lowest], minlength=_BINS + 1)
    counts[_BINS - 1] += counts[_BINS]  # the peak itself
    counts = counts[lowest:_BINS]
    near = np.convolve(counts, np.ones(_WIDTH, dtype=np.int64), "valid")
    more_than_below = near[_WIDTH:] - near[:-_WIDTH]  # one has more samples than what lies below
    most = int(more_than_below.max())
    return max(most, 0) / len(wave)
