"""Median pitch of speech, a figure of voices."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from gsv2.audio.pitch import track_pitch

_HOP_SEC = 0.02
_MIN_FRAMES = 5
"""Fewer voiced frames make no median: a tenth of a second."""


def median_pitch(wave: NDArray[np.float32], sample_rate: int) -> float | None:
    """Return the median fundamental frequency of the voiced frames of [N], in Hz.

    None if too little of it is voiced.
    """
    hop = round(_HOP_SEC * sample_rate)
    track = track_pitch(torch.from_numpy(wave)[None], sample_rate, hop)[0].numpy()
    voiced = track[track > 0]
    return float(np.median(voiced)) if len(voiced) >= _MIN_FRAMES else None
