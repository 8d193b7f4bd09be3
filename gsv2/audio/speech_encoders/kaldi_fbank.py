"""Log-mel filter bank as Kaldi computes it, for padded batches; w2v-BERT 2.0 was trained on it.

Frames of 25 ms every 10 ms: mean off, pre-emphasis, Povey window, power, 80 mel bands, logarithm.
transformers' SeamlessM4TFeatureExtractor computes the same, one clip at a time in numpy.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gsv2.audio.speech_encoders.resampling import SAMPLE_RATE

HOP = 160
"""Samples from frame to frame."""
FIELD = 400
"""Samples of a frame."""
_N_FFT = 512
_LOWEST_HZ = 20.0
_PRE_EMPHASIS = 0.97
_SCALE = 2.0**15
"""Kaldi's samples are 16-bit integers."""
_FLOOR = 1.192092955078125e-07
_VARIANCE_FLOOR = 1e-7


class KaldiFilterBank(nn.Module):
    """[B, n] at 16 kHz -> [B, (n - 400) // 160 + 1, num_mels] natural logarithms."""

    window: Tensor
    filters: Tensor

    def __init__(self, num_mels: int) -> None:
        super().__init__()
        from transformers.audio_utils import mel_filter_bank, window_function

        window = window_function(FIELD, "povey", periodic=False)
        filters = mel_filter_bank(
            num_frequency_bins=_N_FFT // 2 + 1,
            num_mel_filters=num_mels,
            min_frequency=_LOWEST_HZ,
            max_frequency=SAMPLE_RATE / 2,
            sampling_rate=SAMPLE_RATE,
            norm=None,
            mel_scale="kaldi",
            triangularize_in_mel_space=True,
        )
        self.register_buffer("window", torch.from_numpy(window).float(), persistent=False)
        self.register_buffer("filters", torch.from_numpy(filters).float(), persistent=False)

    def forward(self, wave: Tensor) -> Tensor:
        """Return the filter bank of waves.

        Args:
            wave: [B, n] float32, n at least 400.
        """
        with torch.autocast(wave.device.type, enabled=False):
            frames = wave.float().unfold(1, FIELD, HOP) * _SCALE  # [B, T, 400]
            frames = frames - frames.mean(dim=-1, keepdim=True)
            before = torch.cat([frames[..., :1], frames[..., :-1]], dim=-1)
            emphasised = (frames - _PRE_EMPHASIS * before) * self.window
            spectrum = torch.view_as_real(torch.fft.rfft(emphasised, _N_FFT))
            power = spectrum.square().sum(dim=-1)  # [B, T, 257]
            return (power @ self.filters).clamp(min=_FLOOR).log()


def normalise_bands(bank: Tensor, num_frames: Tensor) -> Tensor:
    """Bring each band of each clip to mean 0 and variance 1 over its frames.

    Args:
        bank: [B, T, num_mels].
        num_frames: [B] int64, valid frames.

    Returns:
        [B, T, num_mels], zero at padding.
    """
    valid = (torch.arange(bank.shape[1], device=bank.device) < num_frames[:, None]).unsqueeze(-1)
    count = num_frames[:, None, None]
    mean = (bank * valid).sum(dim=1, keepdim=True) / count.clamp(min=1)
    centred = (bank - mean) * valid
    variance = centred.square().sum(dim=1, keepdim=True) / (count - 1).clamp(min=1)
    return centred / (variance + _VARIANCE_FLOOR).sqrt()
