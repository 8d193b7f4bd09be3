"""Bandwidth of a recording: up to which frequency it holds sound, whatever its sample rate says.

Audio that was recorded at 8 kHz and resampled afterwards has 4 kHz, and a voice that learns from
it sounds like a telephone.
"""

from __future__ import annotations

import numpy as np

_FRAME_SEC = 0.032
_BAND_HZ = 250.0
_LOUD_FRAMES = 0.95
"""Quantile of the frames by which a band counts: fricatives are rare, and hold the highest ones."""
_FLOOR_DB = -65.0
"""Power of a band against the strongest one, below which it is empty. Speech has -30 to -50 dB at
10 kHz; 16-bit samples have noise at about -75 dB, and resampling leaves less."""
_MAX_FRAMES = 1000


def measure_bandwidth(wave: np.ndarray, sample_rate: int) -> float:
    """Return the upper edge of the highest band that is not empty, in Hz.

    Args:
        wave: [N] float32.
        sample_rate: rate in Hz.
    """
    size = round(_FRAME_SEC * sample_rate)
    count = len(wave) // size
    if count == 0:
        return sample_rate / 2
    from scipy.fft import rfft  # ten times as fast in float32; no run needs it

    step = -(-count // _MAX_FRAMES)
    frames = wave[: count * size].reshape(count, size)[::step]
    spectrum = rfft(frames * np.hanning(size).astype(np.float32), axis=1)
    power = spectrum.real**2 + spectrum.imag**2  # [F, size / 2 + 1]
    bins = max(round(_BAND_HZ * size / sample_rate), 1)
    bands = power[:, : power.shape[1] // bins * bins].reshape(len(power), -1, bins).mean(axis=2)
    loud = np.quantile(bands, _LOUD_FRAMES, axis=0)  # [bands]
    filled = np.flatnonzero(loud > loud.max() * 10.0 ** (_FLOOR_DB / 10.0))
    return (
        float(min((filled[-1] + 1) * bins * sample_rate / size, sample_rate / 2))
        if len(filled)
        else 0.0
    )
