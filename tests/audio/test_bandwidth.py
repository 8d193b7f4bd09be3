"""Bandwidth is what a recording holds, whatever its sample rate says."""

from __future__ import annotations

import numpy as np
import pytest
import soxr

from gsv2.audio.bandwidth import measure_bandwidth
from gsv2.audio.windowed_spectrum import windowed_spectrum

RATE = 32_000


def babble(rate: int, seconds: float = 2.0) -> np.ndarray:
    """Return [N]: harmonics that fall by 12 dB an octave, and bursts of weak noise between them."""
    rng = np.random.default_rng(0)
    time = np.arange(round(seconds * rate)) / rate
    voice = sum(np.sin(2 * np.pi * 150 * n * time) / n**2 for n in range(1, 20))
    bursts = np.sin(2 * np.pi * 3 * time) > 0.8
    return (0.2 * voice + 0.003 * bursts * rng.standard_normal(len(time))).astype(np.float32)


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 32_000])
def test_upsampled_audio_has_the_bandwidth_that_it_was_recorded_with(rate):
    wave = soxr.resample(babble(rate), rate, RATE).astype(np.float32)
    assert measure_bandwidth(windowed_spectrum(wave, RATE)) == pytest.approx(rate / 2, rel=0.1)


def test_rounding_to_16_bits_and_level_change_nothing():
    wave = soxr.resample(babble(8_000), 8_000, RATE)
    for gain in (1.0, 0.05):
        coarse = (np.round(wave * gain * 32767) / 32767).astype(np.float32)
        assert measure_bandwidth(windowed_spectrum(coarse, RATE)) == pytest.approx(4_000, rel=0.1)


def test_silence_has_none_and_a_snippet_all():
    assert measure_bandwidth(windowed_spectrum(np.zeros(RATE, np.float32), RATE)) == 0.0
    assert measure_bandwidth(windowed_spectrum(np.zeros(10, np.float32), RATE)) == RATE / 2


@pytest.mark.parametrize("rate", [8_000, 16_000, 32_000])
def test_it_is_the_highest_band_whose_power_is_not_far_below_the_strongest(rate):
    """Bands of 250 Hz, in the windows that do not overlap."""
    wave = soxr.resample(babble(rate), rate, RATE).astype(np.float32)
    spectrum = windowed_spectrum(wave, RATE)
    power = np.abs(spectrum.bins[::2].astype(np.complex128)) ** 2
    bands = [power[:, n : n + 8].mean(axis=1) for n in range(0, 512, 8)]
    loud = [np.quantile(band, 0.95) for band in bands]
    highest = max(n for n, value in enumerate(loud) if value > max(loud) * 10**-6.5)
    assert measure_bandwidth(spectrum) == (highest + 1) * 250
