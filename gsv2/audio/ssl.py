"""Speech encoders: frozen maps from wave to features at 50 Hz, which the quantizer makes codes of.

`logmel` is the embedded default: it has no weights, so that everything runs offline. What another
encoder must do is in the Protocol `SpeechEncoder`; docs/add-an-encoder.md has the steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from gsv2.audio.mel import MelConfig, MelSpectrogram

_DELTA_REACH = 2
"""Frames to each side that a delta looks at."""


class SpeechFeatures(NamedTuple):
    """Features of a padded batch."""

    features: Tensor
    """[B, T, dim] float32, zero at padding."""
    mask: Tensor
    """[B, T] bool, True = valid."""


class SpeechEncoder(Protocol):
    """A frozen map from wave to features; the features of a clip never depend on its batch."""

    name: str
    """Name in `SpeechEncoderConfig`."""
    dim: int
    """Number of features of a frame."""
    sample_rate: int
    """Rate of the wave that it takes, in Hz."""
    frame_rate_hz: int
    """Frames a second."""

    def __call__(self, wave: Tensor, lengths: Tensor) -> SpeechFeatures:
        """Return the features of a padded batch.

        Args:
            wave: [B, 1, N] at `sample_rate`.
            lengths: [B] int64, in samples.

        Returns:
            T = N * frame_rate_hz // sample_rate frames, of which as many are valid as each
            length alone would have.
        """


@dataclass(frozen=True, kw_only=True)
class SpeechEncoderConfig:
    """A speech encoder and its options."""

    name: Literal["logmel"] = "logmel"
    """Which encoder it is."""
    num_mels: int = 80
    """Mel bands of `logmel`; as many deltas are added."""
    win_length: int = 2048
    """Window of `logmel`, in samples at 32 kHz."""
    f_min: float = 0.0
    """Lower edge of the lowest band of `logmel`, in Hz."""
    f_max: float = 8000.0
    """Upper edge of the highest band of `logmel`, in Hz."""
    subtract_clip_mean: bool = True
    """Take each clip's mean off its log-mel (cepstral mean normalisation), so that codes say
    less of the voice and the channel and more of the words."""

    @property
    def dim(self) -> int:
        """Number of features of a frame."""
        return 2 * self.num_mels


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


def make_speech_encoder(config: SpeechEncoderConfig) -> LogMelEncoder:
    """Return the frozen speech encoder that a config names."""
    return LogMelEncoder(config).eval()


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
