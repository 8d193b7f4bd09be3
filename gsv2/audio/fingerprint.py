"""Fingerprint of a recording: the same one at another level or through a codec has nearly the same.

Energies of 16 bands in 32 equal parts of the recording, in decibels, less the mean of each band
and of each part: neither a gain nor the colour of a codec changes them much, while another sentence
of the same voice has others. Bands end where telephones do; silence at both ends, which codecs add,
is left out.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from gsv2.audio.windowed_spectrum import WindowedSpectrum

SIZE = 512
"""Numbers of a fingerprint."""
_BANDS, _PARTS = 16, 32
_LOWEST_HZ, _HIGHEST_HZ = 100.0, 3400.0
_FLOOR_DB = -35.0
"""Energies are told apart down to here below the largest; codecs change what is softer."""
_ENDS = 0.005
"""Share of the energy that is left out at each end, with all the silence before and behind."""
_LEAST_DB = 2.0
"""Standard deviation below which a sound is too steady to be told from others."""


def fingerprint(spectrum: WindowedSpectrum) -> np.ndarray | None:
    """Return [SIZE] int8; None for a sound that is too short or too steady.

    Args:
        spectrum: that of the recording.
    """
    if len(spectrum.bins) < _PARTS:
        return None
    edges = _edges(spectrum.window, spectrum.sample_rate)
    heard = spectrum.bins[:, : edges[-1]]
    power = heard.real**2 + heard.imag**2
    # No product of matrices: the threads of BLAS spin on after it, in the way of other workers.
    energies = np.add.reduceat(power, edges[:-1], axis=1)  # [T, bands]
    loud = energies.sum(axis=1)
    if not float(loud.sum()) > 0:
        return None
    passed = np.cumsum(loud, dtype=np.float64) / loud.sum(dtype=np.float64)
    first, last = np.searchsorted(passed, (_ENDS, 1 - _ENDS))
    if last - first < _PARTS:
        return None
    energies = energies[first : last + 1]
    edges = np.linspace(0, len(energies), _PARTS + 1).round().astype(int)[:-1]
    counts = np.diff(np.append(edges, len(energies)))[:, None]
    parts = np.add.reduceat(energies, edges, axis=0) / counts  # [parts, bands]
    loudest = float(parts.max())
    decibels = np.maximum(10 * np.log10(np.maximum(parts / loudest, 1e-12)), _FLOOR_DB)
    pattern = decibels - decibels.mean(axis=0)
    pattern -= pattern.mean(axis=1, keepdims=True)
    if float(pattern.std()) < _LEAST_DB:
        return None
    scaled = pattern.ravel() * (127 / np.abs(pattern).max())
    return scaled.round().astype(np.int8)


def likeness(a: np.ndarray, b: np.ndarray) -> float:
    """Return the cosine of two fingerprints: 1 = the same sound."""
    x, y = a.astype(np.float64), b.astype(np.float64)
    return float(x @ y / np.sqrt((x @ x) * (y @ y)))


@lru_cache(maxsize=4)
def _edges(window: int, sample_rate: int) -> np.ndarray:
    """Return [bands + 1]: first bin of each band, of equal width on a logarithmic scale; the end.

    Bins lie apart by more than the lowest band is wide: it has the one where it ends.
    """
    hz = np.fft.rfftfreq(window, 1 / sample_rate)
    return np.searchsorted(hz, np.geomspace(_LOWEST_HZ, _HIGHEST_HZ, _BANDS + 1))
