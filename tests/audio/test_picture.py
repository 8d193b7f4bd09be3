import math

import numpy as np
import torch

from gsv2.audio.picture import PICTURE_MEL, picture_levels
from gsv2.data.corpus.format import SAMPLE_RATE


def test_the_level_of_a_wave_is_in_db() -> None:
    wave = 0.1 * torch.randn(SAMPLE_RATE, generator=torch.Generator().manual_seed(0))
    louder = picture_levels(10.0 * wave) - picture_levels(wave)
    np.testing.assert_allclose(louder, 20.0, atol=0.01)


def test_a_tone_is_loudest_at_its_pitch() -> None:
    assert PICTURE_MEL.sample_rate == SAMPLE_RATE
    time = torch.arange(SAMPLE_RATE) / SAMPLE_RATE
    low, high = (
        picture_levels(torch.sin(2 * math.pi * hz * time)).mean(axis=1).argmax()
        for hz in (300.0, 3000.0)
    )
    assert low < high


def test_the_shortest_wave_has_a_frame() -> None:
    assert picture_levels(torch.zeros(3)).shape == (PICTURE_MEL.num_mels, 1)
