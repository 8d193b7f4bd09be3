import numpy as np
import pytest

from gsv2.evaluation.pitch import median_pitch, track_pitch
from tests.support.tiny_corpus import synthetic_wave

RATE = 32_000


def harmonics(hz: float, seconds: float = 1.0, first: int = 1) -> np.ndarray:
    time = np.arange(round(RATE * seconds)) / RATE
    waves = [np.sin(2 * np.pi * hz * k * time + k) / k for k in range(first, first + 6)]
    return (0.1 * np.sum(waves, axis=0)).astype(np.float32)


@pytest.mark.parametrize("hz", [61.0, 100.0, 137.3, 250.0, 480.0])
def test_a_steady_pitch_is_found_within_a_thousandth(hz):
    assert median_pitch(harmonics(hz), RATE) == pytest.approx(hz, rel=1e-3)


def test_a_missing_fundamental_is_heard():
    assert median_pitch(harmonics(150.0, first=2), RATE) == pytest.approx(150.0, rel=5e-3)


@pytest.mark.parametrize("hz", [80.0, 140.0, 220.0, 400.0])
def test_the_median_of_a_glide_in_noise_is_near_its_middle(hz):
    wave = synthetic_wave(1.5, hz, np.random.default_rng(0))
    assert median_pitch(wave, RATE) == pytest.approx(hz, rel=0.03)


def test_noise_silence_and_clicks_have_no_pitch():
    noise = np.random.default_rng(0).standard_normal(RATE).astype(np.float32)
    for wave in (noise, np.zeros(RATE, dtype=np.float32), harmonics(100.0, seconds=0.03)):
        assert median_pitch(wave, RATE) is None


def test_pauses_have_no_pitch_between_words():
    pause = np.zeros(RATE // 2, dtype=np.float32)
    track = track_pitch(np.concatenate([harmonics(120.0), pause, harmonics(240.0)]), RATE)
    assert np.nanmin(track) == pytest.approx(120.0, rel=0.02)
    assert np.nanmax(track) == pytest.approx(240.0, rel=0.02)
    assert 15 < np.isnan(track).sum() < 30  # half a second in steps of 20 ms
