"""Silence around and within speech, by the level of short frames."""

from __future__ import annotations

import numpy as np

_FRAME_SEC = 0.02
_LOUD_FRAMES = 0.95
"""Quantile of the frames that are as loud as speech."""
_QUIET_DB = -40.0
"""Level of a frame against the loud ones, below which it is silence."""


def trim_silence(wave: np.ndarray, sample_rate: int, keep_sec: float) -> np.ndarray:
    """Return [N] without the silence at both ends, but for `keep_sec` of it.

    Args:
        wave: [N] float32; one that is silent all through stays as it is.
        sample_rate: rate in Hz.
        keep_sec: silence that is kept at each end.
    """
    size = round(_FRAME_SEC * sample_rate)
    count = len(wave) // size
    if count == 0:
        return wave
    frames = wave[: count * size].reshape(count, size)
    power = (frames.astype(np.float64) ** 2).mean(axis=1)  # [F]
    loud = np.flatnonzero(power > np.quantile(power, _LOUD_FRAMES) * 10.0 ** (_QUIET_DB / 10.0))
    if len(loud) == 0:
        return wave
    kept = round(keep_sec * sample_rate)
    start = max(int(loud[0]) * size - kept, 0)
    end = min((int(loud[-1]) + 1) * size + kept, len(wave)) if loud[-1] + 1 < count else len(wave)
    return wave[start:end]


def cut_at_quiet(wave: np.ndarray, frame_samples: int, max_frames: int) -> list[np.ndarray]:
    """Return the pieces of a recording, cut where it is quietest.

    Args:
        wave: [N] float32.
        frame_samples: samples of a frame; every piece but the last is whole frames.
        max_frames: longest piece in frames, at least 2; none but the last is shorter than half.
    """
    pieces = []
    start, size = 0, max_frames * frame_samples
    while len(wave) - start > size:
        half = start + max_frames // 2 * frame_samples
        frames = wave[half : start + size].reshape(-1, frame_samples)
        quietest = int((frames.astype(np.float64) ** 2).mean(axis=1).argmin())
        end = half + (quietest + 1) * frame_samples  # within a pause, not at its beginning
        pieces.append(wave[start:end])
        start = end
    return [*pieces, wave[start:]]
