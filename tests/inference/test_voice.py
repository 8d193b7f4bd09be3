import numpy as np
import pytest

from gsv2.inference.references import Reference
from gsv2.inference.voice import fuse_pitches


def tone(hz: float, weight: float = 1.0) -> Reference:
    time = np.arange(32_000) / 32_000
    return Reference(wave=(0.1 * np.sin(2 * np.pi * hz * time)).astype(np.float32), weight=weight)


def test_the_pitch_of_a_voice_is_the_weighted_mean_of_its_references():
    assert fuse_pitches([tone(100)]) == pytest.approx(100, rel=1e-3)
    assert fuse_pitches([tone(100), tone(200, weight=3.0)]) == pytest.approx(
        100 * 2**0.75, rel=1e-3
    )


def test_references_without_a_pitch_do_not_count():
    assert fuse_pitches([tone(0), tone(200)]) == pytest.approx(200, rel=1e-3)
    assert fuse_pitches([tone(0)]) == 0
