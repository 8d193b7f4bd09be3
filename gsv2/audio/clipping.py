"""Clipping of a recording: which share of its samples lies at a ceiling.

Resampling and lossy codecs bend the flat tops of clipped waves, so samples are not compared with
full scale but with each other: the density of speech falls towards its peak, that of clipped
speech has a bump there.
"""

from __future__ import annotations

import numpy as np

_LOUD_SAMPLES = 0.999
"""Quantile of the samples that lies at the ceiling, if there is one."""
_WIDTH = 0.03
"""Distance from the ceiling, in parts of it, of samples that were bent after they were clipped."""


def clipped_share(wave: np.ndarray) -> float:
    """Return the share of samples at the ceiling; speech that was not clipped has below .002.

    Args:
        wave: [N] float32, at any level.
    """
    if not len(wave):
        return 0.0
    levels = np.abs(wave)
    place = min(int(_LOUD_SAMPLES * len(levels)), len(levels) - 1)
    ceiling = np.partition(levels, place)[place]
    near = (levels >= (1 - _WIDTH) * ceiling) & (levels <= (1 + _WIDTH) * ceiling)
    return float(near.mean()) if ceiling > 0 else 0.0
