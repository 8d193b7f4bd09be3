"""The estimate finds the noise that was added, whatever the level."""

import numpy as np
import pytest

from gsv2.audio.noise import MAX_SNR_DB, MIN_SNR_DB, estimate_snr

RATE = 16_000
RNG = np.random.default_rng(0)


def syllables(seconds: float = 6.0) -> np.ndarray:
    """Return noise in syllables with pauses between them, of power 1."""
    time = np.arange(round(seconds * RATE)) / RATE
    envelope = np.maximum(np.sin(2 * np.pi * 2.5 * time), 0) ** 2
    wave = envelope * RNG.standard_normal(len(time))
    return wave / wave.std()


@pytest.mark.parametrize("snr_db", [0.0, 10.0, 20.0, 30.0])
@pytest.mark.parametrize("level", [1e-3, 0.1])
def test_added_noise_is_found(snr_db, level):
    wave = syllables()
    wave = level * (wave + 10 ** (-snr_db / 20) * RNG.standard_normal(len(wave)))
    assert estimate_snr(wave.astype(np.float32), RATE) == pytest.approx(snr_db, abs=2.0)


def test_silent_pauses_have_no_noise_and_steady_sound_has_no_speech():
    assert estimate_snr(syllables().astype(np.float32), RATE) > 60
    gated = syllables() * (np.arange(6 * RATE) % RATE < RATE // 2)
    assert estimate_snr(gated.astype(np.float32), RATE) == MAX_SNR_DB
    hum = np.sin(np.arange(RATE) * 0.3927)
    assert MIN_SNR_DB <= estimate_snr(hum.astype(np.float32), RATE) < 0


def test_what_is_too_short_is_not_judged():
    assert estimate_snr(np.ones(100, np.float32), RATE) is None
