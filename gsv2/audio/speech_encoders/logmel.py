"""Log-mel energies with their deltas: the speech encoder without weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from gsv2.audio.mel import MelConfig, MelSpectrogram
from gsv2.audio.speech_encoders.config import SpeechEncoderConfig
from gsv2.audio.speech_encoders.interface import SpeechFeatures

_DELTA_REACH = 2
"""Frames to each side that a delta looks at."""


class LogMelEncoder(nn.Module):
    """Log-mel energies with their deltas, straight from the corpus audio at 32 kHz."""

    def __init__(self, config: SpeechEncoderConfig) -> None:
        super().__init__()
        mel = MelConfig(
            win_length=config.win_length,
            num_mels=config.num_mels,
            f_min=config.f_min,
            f_max=config.f_max,
        )
        self.config = config
        self.name: str = config.name
        self.dim = config.dim
        self.sample_rate = mel.sample_rate
        self.hop_length = mel.hop_length
        self.frame_rate_hz = mel.sample_rate // mel.hop_length
        self.mel = MelSpectrogram(mel)

    @torch.no_grad()
    def forward(self, wave: Tensor, lengths: Tensor) -> SpeechFeatures:
        """See `SpeechEncoder.__call__`."""
        inside = torch.arange(wave.shape[-1], device=wave.device) < lengths[:, None]
        mel = self.mel(wave * inside[:, None])  # [B, num_mels, T]
        num_frames = lengths // self.hop_length
        position = torch.arange(mel.shape[-1], device=wave.device)
        mask = position < num_frames[:, None]  # [B, T]
        last = (num_frames - 1).clamp(min=0)[:, None]
        held = mel.gather(2, position.minimum(last)[:, None].expand_as(mel))
        deltas = _deltas(held)
        if self.config.subtract_clip_mean:
            mel = mel - _masked_mean(mel, mask)
        features = torch.cat([mel, deltas], dim=1).transpose(1, 2)  # [B, T, 2 * num_mels]
        return SpeechFeatures(features * mask.unsqueeze(-1), mask)


def _deltas(mel: Tensor) -> Tensor:
    """Return the slope of a line fitted through five frames; [B, C, T], ends held."""
    padded = functional.pad(mel, (_DELTA_REACH, _DELTA_REACH), mode="replicate")
    T = mel.shape[-1]
    offsets = range(1, _DELTA_REACH + 1)
    rise = sum(
        n * (padded[..., _DELTA_REACH + n :][..., :T] - padded[..., _DELTA_REACH - n :][..., :T])
        for n in offsets
    )
    return torch.as_tensor(rise) / (2 * sum(n * n for n in offsets))


def _masked_mean(mel: Tensor, mask: Tensor) -> Tensor:
    """Return the mean of the valid frames: [B, C, T], [B, T] -> [B, C, 1]."""
    valid = mask[:, None]
    return (mel * valid).sum(dim=2, keepdim=True) / valid.sum(dim=2, keepdim=True).clamp(min=1)
