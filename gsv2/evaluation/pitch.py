"""Fundamental frequency of speech by YIN (de Cheveigné and Kawahara, JASA 111, 2002).

Steps 1 to 5 of the paper: difference function, its cumulative mean, an absolute threshold and
parabolic interpolation. A frame without a dip below the threshold has no pitch.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from gsv2.audio.wave import resample

LOWEST_HZ = 60.0
HIGHEST_HZ = 500.0
_RATE_HZ = 8000
"""Rate that is enough for these pitches."""
_HOP_SEC = 0.02
_THRESHOLD = 0.15
"""Share of aperiodic power below which a frame is voiced; the paper's is 0.1 for clean voices."""
_FLOOR_DB = -40.0
"""Level of a frame below the loudest one's from which on it is silence."""
_MIN_FRAMES = 5
"""Fewer voiced frames make no median: a tenth of a second."""


def median_pitch(wave: NDArray[np.float32], sample_rate: int) -> float | None:
    """Return the median fundamental frequency of the voiced frames of [N], in Hz.

    None if too little of it is voiced.
    """
    voiced = track_pitch(wave, sample_rate)
    voiced = voiced[~np.isnan(voiced)]
    return float(np.median(voiced)) if len(voiced) >= _MIN_FRAMES else None


def track_pitch(wave: NDArray[np.float32], sample_rate: int) -> NDArray[np.float64]:
    """Return the fundamental frequency in Hz of a frame each 20 ms; NaN where there is none."""
    slow = resample(wave, sample_rate, _RATE_HZ).astype(np.float64)
    longest = int(np.ceil(_RATE_HZ / LOWEST_HZ))
    length = 2 * longest  # window and the largest lag beside it
    if len(slow) < length + longest:
        return np.empty(0)
    hop = round(_HOP_SEC * _RATE_HZ)
    frames = sliding_window_view(slow, length)[::hop]
    power = (frames**2).mean(axis=1)
    is_loud = power > power.max() * 10 ** (_FLOOR_DB / 10)
    pitch = np.full(len(frames), np.nan)
    if is_loud.any() and power.max() > 0:
        pitch[is_loud] = _pitch_of_frames(frames[is_loud], longest)
    return pitch


def _pitch_of_frames(frames: NDArray[np.float64], longest: int) -> NDArray[np.float64]:
    """Return the pitch of each frame [F, 2 * longest] in Hz, or NaN."""
    normal = _normalised_difference(frames, longest)  # [F, longest + 1]
    shortest = int(_RATE_HZ / HIGHEST_HZ)
    pitch = np.full(len(frames), np.nan)
    for row, curve in enumerate(normal):
        below = np.flatnonzero(curve[shortest:longest] < _THRESHOLD)
        if len(below) == 0:
            continue
        lag = shortest + int(below[0])
        while lag + 1 < longest and curve[lag + 1] < curve[lag]:
            lag += 1
        pitch[row] = _RATE_HZ / (lag + _vertex(*curve[lag - 1 : lag + 2]))
    return pitch


def _normalised_difference(frames: NDArray[np.float64], longest: int) -> NDArray[np.float64]:
    """Return the cumulative mean normalised difference of each lag 0..longest (equations 6, 8)."""
    window = frames.shape[1] - longest
    head = frames[:, :window]
    squares = np.cumsum(np.pad(frames**2, ((0, 0), (1, 0))), axis=1)
    energy = squares[:, window:] - squares[:, : longest + 1]  # of the window at each lag
    size = 2 * frames.shape[1]
    spectrum = np.conj(np.fft.rfft(head, size)) * np.fft.rfft(frames, size)
    product = np.fft.irfft(spectrum, size)[:, : longest + 1]
    difference = np.maximum(energy[:, :1] + energy - 2 * product, 0)
    lags = np.arange(1, longest + 1)
    mean = np.cumsum(difference[:, 1:], axis=1) / lags
    normal = np.ones_like(difference)
    np.divide(difference[:, 1:], mean, out=normal[:, 1:], where=mean > 0)
    return normal


def _vertex(before: float, here: float, after: float) -> float:
    """Return the place of the vertex of a parabola through -1, 0 and 1."""
    curvature = before - 2 * here + after
    return 0.0 if curvature <= 0 else 0.5 * (before - after) / curvature
