import numpy as np
import pytest

from gsv2.inference.voice import fuse_pitches, voice_pitch


def test_the_pitch_of_a_voice_is_the_weighted_mean_of_its_references():
    assert fuse_pitches([100], [1.0]) == pytest.approx(100)
    assert fuse_pitches([100, 200], [1.0, 3.0]) == pytest.approx(100 * 2**0.75)


def test_references_without_a_pitch_do_not_count():
    assert fuse_pitches([0, 200], [1.0, 1.0]) == pytest.approx(200)
    assert fuse_pitches([0], [1.0]) == 0


def test_the_pitch_of_a_recording_is_its_median():
    time = np.arange(32_000) / 32_000
    tone = (0.1 * np.sin(2 * np.pi * 140 * time)).astype(np.float32)
    assert voice_pitch(tone, 32_000) == pytest.approx(140, rel=1e-3)
    assert voice_pitch(np.zeros_like(tone), 32_000) == 0
