"""Spectra under windows, against numpy's and against each other."""

from __future__ import annotations

import numpy as np
import pytest

from gsv2.audio.windowed_spectrum import windowed_spectrum


@pytest.mark.parametrize("rate", [16_000, 22_050, 32_000])
def test_every_window_is_numpys_spectrum_of_its_samples(rate: int) -> None:
    wave = np.random.default_rng(0).standard_normal(rate // 3).astype(np.float32)
    bins, window, of_rate = windowed_spectrum(wave, rate)
    assert (window, of_rate) == (2 * round(0.016 * rate), rate)
    starts = range(0, len(wave) - window + 1, window // 2)
    cut = np.stack([wave[start : start + window] for start in starts])
    assert bins.shape == (len(starts), window // 2 + 1)
    expected = np.fft.rfft(cut * np.hanning(window), axis=1)
    np.testing.assert_allclose(bins, expected, atol=1e-3)


def test_windows_end_with_the_recording() -> None:
    wave = np.zeros(1024 + 512, dtype=np.float32)
    assert [len(windowed_spectrum(wave[:n], 32_000).bins) for n in (1023, 1024, 1535, 1536)] == [
        0, 1, 1, 2,
    ]  # fmt: skip


def test_the_recording_stays_as_it_is() -> None:
    wave = np.random.default_rng(0).standard_normal(4000).astype(np.float32)
    before = wave.copy()
    windowed_spectrum(wave, 32_000)
    assert np.array_equal(wave, before)
