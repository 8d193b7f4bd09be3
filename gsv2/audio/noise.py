"""Signal-to-noise ratio of a recording, estimated from its own pauses.

The quietest frames are taken for the noise, as in NIST's STNR: speech has stops and pauses, noise
has none. Where nobody pauses the estimate is too low, where a gate has muted the pauses too high.
"""

from __future__ import annotations

import math

import numpy as np

MAX_SNR_DB = 100.0
"""Ratio of a recording whose pauses are digital silence: 16-bit samples have no more."""
MIN_SNR_DB = -20.0
_FRAME_SEC = 0.02
_QUIET_FRAMES = 0.05
"""Quantile of the frames that hold nothing but noise."""
_MIN_FRAMES = 20
"""Fewer frames tell nothing: 0.4 s."""


def estimate_snr(wave: np.ndarray, sample_rate: int) -> float | None:
    """Return the power of speech against that of noise in dB; None where it is too short.

    Args:
        wave: [N] float32.
        sample_rate: rate in Hz.

    Returns:
        A value from `MIN_SNR_DB` to `MAX_SNR_DB`.
    """
    size = round(_FRAME_SEC * sample_rate)
    count = len(wave) // size
    if count < _MIN_FRAMES:
        return None
    frames = wave[: count * size].reshape(count, size)
    power = np.einsum("fn,fn->f", frames, frames).astype(np.float64) / size  # [F]
    power = np.maximum(power - float(wave.mean(dtype=np.float64)) ** 2, 0.0)
    noise = float(np.quantile(power, _QUIET_FRAMES))
    speech = float(power.mean()) - noise
    if noise <= 0.0:
        return MAX_SNR_DB
    if speech <= 0.0:
        return MIN_SNR_DB
    return min(max(10.0 * math.log10(speech / noise), MIN_SNR_DB), MAX_SNR_DB)
