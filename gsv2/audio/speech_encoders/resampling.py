"""Resampling of padded batches from the rate of corpora to that of pretrained speech encoders."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchaudio.transforms import Resample

SAMPLE_RATE = 16_000
"""Rate of the wave that every pretrained speech encoder takes, in Hz."""
FRAME_SAMPLES = 320
"""Samples of a frame at 50 Hz."""
CORPUS_SAMPLE_RATE = 32_000
"""Rate of the audio of corpora, in Hz."""
_RATIO = CORPUS_SAMPLE_RATE // SAMPLE_RATE
_FILTER_ZEROS = 64
"""Zero crossings of the filter to each side."""
_ROLLOFF = 0.9475937167399596
_BETA = 14.769656459379492
"""Cutoff and Kaiser window of the filter, those of librosa's `kaiser_best`."""


class HalfRate(nn.Module):
    """32 kHz -> 16 kHz by a windowed sinc filter, which is linear, symmetric and local."""

    def __init__(self) -> None:
        super().__init__()
        self._resample = Resample(
            CORPUS_SAMPLE_RATE,
            SAMPLE_RATE,
            resampling_method="sinc_interp_kaiser",
            lowpass_filter_width=_FILTER_ZEROS,
            rolloff=_ROLLOFF,
            beta=_BETA,
        )

    def forward(self, wave: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return the waves at half the rate; sample k of each lies where sample 2k lay.

        Args:
            wave: [B, 1, N] at 32 kHz; what lies beyond the lengths is not heard.
            lengths: [B] int64, in samples.

        Returns:
            [B, N // 2] float32, zero beyond the lengths, and the lengths // 2. Clips of M samples
            have M // 640 whole frames of 320 samples, as many as at 32 kHz.
        """
        with torch.autocast(wave.device.type, enabled=False):
            audible = _inside(wave.shape[-1], lengths)
            slow = self._resample(wave.float()[:, 0] * audible)[:, : wave.shape[-1] // _RATIO]
            slow_lengths = lengths // _RATIO
            return slow * _inside(slow.shape[-1], slow_lengths), slow_lengths


def _inside(num_samples: int, lengths: Tensor) -> Tensor:
    """Return [B, num_samples] bool: the sample lies within its clip."""
    return torch.arange(num_samples, device=lengths.device) < lengths[:, None]
