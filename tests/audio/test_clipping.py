"""Clipped waves have a ceiling, even after what resampling makes of it; others have none."""

import numpy as np
import pytest

from gsv2.audio.clipping import clipped_share
from gsv2.audio.wave import resample

RNG = np.random.default_rng(0)
LAPLACIAN = RNG.laplace(size=64_000).astype(np.float32)
"""Samples of speech are distributed like this."""


def bands(wave: np.ndarray) -> np.ndarray:
    """Return a wave without its highest frequencies, as recordings are."""
    spectrum = np.fft.rfft(wave)
    spectrum[len(spectrum) // 4 :] = 0
    return np.fft.irfft(spectrum, len(wave)).astype(np.float32)


@pytest.mark.parametrize("share", [0.01, 0.05, 0.3])
@pytest.mark.parametrize("level", [1e-3, 1.0])
def test_the_share_of_clipped_samples_is_found(share, level):
    wave = bands(LAPLACIAN)
    ceiling = np.quantile(np.abs(wave), 1 - share)
    clipped = level * np.clip(wave, -ceiling, ceiling)
    assert clipped_share(clipped) == pytest.approx(share, rel=0.5)
    again = resample(resample(clipped, 32_000, 24_000), 24_000, 32_000)
    assert clipped_share(again) > 0.005


def test_what_was_not_clipped_has_no_ceiling():
    for wave in (LAPLACIAN, bands(LAPLACIAN), RNG.standard_normal(32_000)):
        assert clipped_share(wave.astype(np.float32)) < 0.002
    assert clipped_share(np.zeros(100, np.float32)) == 0
    assert clipped_share(np.zeros(0, np.float32)) == 0


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3])
def test_it_is_the_count_of_all_samples_by_their_level(share):
    wave = bands(LAPLACIAN)
    ceiling = np.quantile(np.abs(wave), 1 - share)
    levels = np.abs(np.clip(wave, -ceiling, ceiling))
    places = np.minimum(np.floor(levels * (100 / levels.max())), 99).tolist()
    counts = [places.count(place) for place in range(100)]
    rises = [sum(counts[n : n + 6]) - sum(counts[n - 6 : n]) for n in range(30, 95)]
    assert clipped_share(levels) == max(*rises, 0) / len(levels)
