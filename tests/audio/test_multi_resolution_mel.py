"""Log-mels at several resolutions: each that of its own spectrogram; wrong lists by name."""

from __future__ import annotations

import pytest
import torch

from gsv2.audio.mel import MelConfig, MelSpectrogram
from gsv2.audio.multi_resolution_mel import MelResolutionsConfig, MultiResolutionMel


def test_each_resolution_is_its_own_log_mel() -> None:
    config = MelResolutionsConfig(win_length=(512, 2048), num_mels=(20, 80))
    made = MultiResolutionMel(config.split(32_000))
    wave = torch.randn(2, 1, 4096, generator=torch.Generator().manual_seed(0))
    short, long = made(wave)
    assert short.shape == (2, 20, 32)
    assert long.shape == (2, 80, 8)
    alone = MelConfig(n_fft=512, win_length=512, hop_length=128, num_mels=20)
    assert short.equal(MelSpectrogram(alone)(wave))


@pytest.mark.parametrize(
    ("lengths", "bands", "message"),
    [
        ((512,), (), "must be equally many"),
        ((510,), (20,), "multiple of 4"),
        ((512,), (300,), "at least two samples a mel band, but is 512 for 300"),
    ],
)
def test_lists_that_do_not_fit_are_named(
    lengths: tuple[int, ...], bands: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        MelResolutionsConfig(win_length=lengths, num_mels=bands)
