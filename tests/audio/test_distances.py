"""Distances of speech against scipy's cosine transform and values known by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.fft
import torch

from gsv2.audio.distances import NUM_CEPSTRA, cepstral_distortion, pitch_errors


def test_the_cepstral_distortion_is_that_of_scipys_cosine_transform() -> None:
    generator = torch.Generator().manual_seed(0)
    one, other = torch.randn(2, 1, 40, 7, generator=generator)
    cepstra = [scipy.fft.dct(x[0].numpy(), axis=0, type=2, norm="ortho") for x in (one, other)]
    difference = (cepstra[0] - cepstra[1])[1 : NUM_CEPSTRA + 1] / math.sqrt(2 * 40)
    expected = (10 / np.log(10) * np.sqrt(2 * (difference**2).sum(axis=0))).mean()
    found = cepstral_distortion(one, other, torch.ones(1, 7, dtype=torch.bool))
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_a_level_is_no_distortion_and_padding_does_not_count() -> None:
    mel = torch.randn(2, 20, 6)
    mask = torch.tensor([[True] * 6, [True] * 2 + [False] * 4])
    louder = mel + 1.5
    louder[1, :, 2:] = 99.0
    assert cepstral_distortion(louder, mel, mask).item() == pytest.approx(0, abs=1e-4)


def test_pitch_is_compared_where_both_have_one() -> None:
    target = torch.tensor([[100.0, 200.0, 0.0, 0.0, 300.0], [100.0, 0.0, 7.0, 7.0, 7.0]])
    found = torch.tensor([[200.0, 200.0, 0.0, 150.0, 0.0], [0.0, 100.0, 9.0, 9.0, 9.0]])
    mask = torch.tensor([[True] * 5, [True, True, False, False, False]])
    errors = pitch_errors(found, target, mask)
    assert errors.semitones.item() == pytest.approx((12 + 0) / 2 / 2)
    assert errors.voicing.item() == pytest.approx((2 / 5 + 1) / 2)
