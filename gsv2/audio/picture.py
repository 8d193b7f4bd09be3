"""Spectrogram of a wave as pictures show it, in samples of a run and in reports."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from gsv2.audio.mel import MelConfig, MelSpectrogram

PICTURE_MEL = MelConfig(n_fft=2048, win_length=1024, hop_length=320, num_mels=128)
PICTURE_RANGE_DB = 75.0
"""Levels further under the loudest of a picture are black."""
_DB_PER_NEPER = 20.0 / math.log(10.0)


def picture_levels(wave: Tensor) -> np.ndarray:
    """Return the log-mel spectrogram of a wave, [num_mels, T] in dB, of at least one frame.

    Args:
        wave: [N] at the rate of `PICTURE_MEL`.
    """
    wave = wave.detach().float().cpu()
    padded = functional.pad(wave, (0, max(0, PICTURE_MEL.hop_length - len(wave))))
    with torch.no_grad():
        mel = MelSpectrogram(PICTURE_MEL)(padded[None, None])[0]
    return mel.numpy() * _DB_PER_NEPER
