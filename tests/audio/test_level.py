import numpy as np
import pytest

from gsv2.audio.level import Level, apply_level, check_level, measure_level
from gsv2.audio.wave import WaveError, measure_loudness

RATE = 32_000
VOICE = (0.1 * np.sin(np.arange(RATE) * 0.05)).astype("float32")


@pytest.mark.parametrize(
    ("wave", "reason"),
    [
        (np.zeros(RATE), "is silent"),
        (np.random.default_rng(0).integers(-1, 2, RATE) / 32768, "is silent"),
        (np.full(RATE, 0.2), r"is only a constant of 0\.200"),
        (VOICE * 32767, "has an absurd level"),
        (VOICE * 1e30, "has an absurd level"),
        (np.r_[VOICE, np.nan], "NaN"),
        (np.r_[VOICE, np.inf], "NaN or infinite"),
    ],
)
def test_what_is_no_level_of_speech_is_named(wave, reason):
    with pytest.raises(WaveError, match=reason):
        measure_level(wave.astype("float32"), RATE)


@pytest.mark.parametrize("gain", [0.01, 1.0, 9.0])
def test_one_gain_brings_any_clip_to_the_level_of_references(gain):
    wave = VOICE * np.float32(gain)
    levelled = apply_level(wave, measure_level(wave, RATE))
    assert measure_loudness(levelled, RATE) == pytest.approx(-23.0, abs=0.2)


def test_an_offset_is_no_loudness():
    assert measure_level(VOICE + np.float32(0.3), RATE).lufs == pytest.approx(
        measure_level(VOICE, RATE).lufs, abs=0.1
    )


@pytest.mark.parametrize("level", [Level(67.0, 9830.0), Level(float("nan"), 0.1), Level(-90, 0.1)])
def test_a_stored_level_is_checked_too(level):
    with pytest.raises(WaveError, match=r"absurd|silent"):
        check_level(level)
