"""Bandwidth of a recording: up to which frequency it holds sound, whatever its sample rate says.

Audio that was recorded at 8 kHz and resampled afterwards has 4 kHz, and a voice that learns from
it sounds like a telephone.
"""

from __future__ import annotations

import numpy as np

from gsv2.audio.windowed_spectrum import WindowedSpectrum

_BAND_HZ = 250.0
_LOUD_FRAMES = 0.95
"""Quantile of the frames by which a band counts: fricatives are rare, and hold the highest ones."""
_FLOOR_DB = -65.0
"""Power of a band against the strongest one, below which it is empty. Speech has -30 to -50 dB at
10 kHz; 16-bit samples have noise at about -75 dB, and resampling leaves less."""
_MAX_FRAMES = 1000


def measure_bandwidth(spectrum: WindowedSpectrum) -> float:
    """Return the upper edge of the highest band that is not empty, in Hz; for a snippet, of all.

    Args:
        spectrum: that of the recording; of its windows, those are looked at that do not overlap.
    """
    bins, size, sample_rate = spectrum
    if not len(bins):
        return sample_rate / 2
    apart = bins[::2]
    frames = apart[:: -(-len(apart) // _MAX_FRAMES)]
    width = max(round(_BAND_HZ * size / sample_rate), 1)
    whole = frames[:, : frames.shape[1] // width * width].view(np.float32)
    parts = whole.reshape(len(frames), -1, 2 * width)  # real and imaginary ones of a band
    bands = np.einsum("fbp,fbp->fb", parts, parts)  # power
    loud = np.quantile(bands, _LOUD_FRAMES, axis=0)  # [bands]
    filled = np.flatnonzero(loud > loud.max() * 10.0 ** (_FLOOR_DB / 10.0))
    return (
        float(min((filled[-1] + 1) * width * sample_rate / size, sample_rate / 2))
        if len(filled)
        else 0.0
    )
