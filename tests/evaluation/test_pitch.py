import numpy as np
import pytest

from gsv2.evaluation.pitch import median_pitch
from tests.audio.test_pitch import RATE, harmonics


@pytest.mark.parametrize("hz", [61.0, 137.3, 480.0])
def test_the_median_of_a_steady_pitch_is_that_pitch(hz):
    assert median_pitch(harmonics(hz).numpy(), RATE) == pytest.approx(hz, rel=1e-3)


def test_noise_silence_and_clicks_have_no_median():
    noise = np.random.default_rng(0).standard_normal(RATE).astype(np.float32)
    for wave in (noise, np.zeros(RATE, dtype=np.float32), harmonics(100.0, seconds=0.03).numpy()):
        assert median_pitch(wave, RATE) is None
