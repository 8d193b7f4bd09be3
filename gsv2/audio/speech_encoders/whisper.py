"""Whisper's encoder (arXiv 2212.04356): multilingual, made to recognise speech, 50 Hz.

Whisper pads every clip to 30 s of silence and masks nothing. Here each clip is followed by one
second of silence and a mask: a tenth of the work for clips of 3 s, and still independent of the
batch. With 1 s of silence the centred features of three clips of 3 to 4 s had a cosine of .94 to
.96 to those with 30 s (whisper base), without any .90 to .93. Longer clips are cut into windows
of 29 s that know nothing of each other.

Frame t lies around sample 320 t, as Whisper has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from gsv2.audio.speech_encoders.pretrained import NetworkSizes, SpeechNetwork
from gsv2.audio.speech_encoders.resampling import FRAME_SAMPLES, SAMPLE_RATE
from gsv2.pretrained import load_network

_HOP = 160
_N_FFT = 400
_MELS_PER_FRAME = FRAME_SAMPLES // _HOP
_TAIL_FRAMES = 50
"""Frames of silence after a clip."""
_POWER_FLOOR = 1e-10
_RANGE = 8.0
"""Powers of ten below the loudest point of a clip that are heard."""


class Whisper(SpeechNetwork):
    """Hidden layer of the encoder of a `WhisperModel`."""

    def __init__(self, folder: Path, layer: int | None) -> None:
        super().__init__(folder, layer)
        from transformers import WhisperConfig, WhisperModel

        settings = WhisperConfig.from_pretrained(str(folder))
        is_inner = layer is not None and layer < settings.encoder_layers
        settings.encoder_layers = layer or settings.encoder_layers
        self.model: Any = load_network(WhisperModel, folder, settings).encoder
        if is_inner:
            self.model.layer_norm = nn.Identity()  # that after the last layer
        self.dim = int(settings.d_model)
        self.log_mel = WhisperLogMel(settings.num_mel_bins)
        self.window_frames = int(settings.max_source_positions) - _TAIL_FRAMES

    @staticmethod
    def sizes(settings: Mapping[str, Any]) -> NetworkSizes:
        """See `SpeechNetwork.sizes`."""
        if settings.get("model_type") != "whisper":
            raise ValueError(
                f"config.json must be of a whisper, but is of {settings.get('model_type')!r}"
            )
        return NetworkSizes(int(settings["encoder_layers"]), int(settings["d_model"]))

    def forward(self, wave: Tensor, lengths: Tensor) -> Tensor:
        """See `SpeechNetwork.forward`."""
        step = self.window_frames * FRAME_SAMPLES
        windows = [
            self._encode(wave[:, start : start + step], (lengths - start).clamp(0, step))
            for start in range(0, wave.shape[-1] // FRAME_SAMPLES * FRAME_SAMPLES, step)
        ]
        return torch.cat(windows, dim=1)

    def _encode(self, wave: Tensor, lengths: Tensor) -> Tensor:
        """Return [B, n // 320, dim] of clips that one window holds."""
        most = wave.shape[-1] // FRAME_SAMPLES
        num_frames = lengths // FRAME_SAMPLES + _TAIL_FRAMES
        num_mels = (most + _TAIL_FRAMES) * _MELS_PER_FRAME
        mel = self.log_mel(functional.pad(wave, (0, num_mels * _HOP - wave.shape[-1])))
        inside = (
            torch.arange(num_mels, device=wave.device) < (num_frames * _MELS_PER_FRAME)[:, None]
        )
        mel = mel * inside[:, None]  # [B, num_mels, frames]
        hidden = functional.gelu(self.model.conv1(mel))
        hidden = functional.gelu(self.model.conv2(hidden)).transpose(1, 2)
        hidden = hidden + self.model.embed_positions.weight[: hidden.shape[1]]
        mask = torch.arange(hidden.shape[1], device=wave.device) < num_frames[:, None]
        for layer in self.model.layers:
            hidden = layer(hidden, mask[:, None, None])
        return self.model.layer_norm(hidden)[:, :most]


class WhisperLogMel(nn.Module):
    """[B, n] at 16 kHz -> [B, num_mels, n // 160], of each clip relative to its loudest point.

    transformers' WhisperFeatureExtractor computes the same.
    """

    window: Tensor
    filters: Tensor

    def __init__(self, num_mels: int) -> None:
        super().__init__()
        from transformers.audio_utils import mel_filter_bank

        filters = mel_filter_bank(
            num_frequency_bins=_N_FFT // 2 + 1,
            num_mel_filters=num_mels,
            min_frequency=0.0,
            max_frequency=SAMPLE_RATE / 2,
            sampling_rate=SAMPLE_RATE,
            norm="slaney",
            mel_scale="slaney",
        )
        self.register_buffer("window", torch.hann_window(_N_FFT), persistent=False)
        self.register_buffer("filters", torch.from_numpy(filters).float(), persistent=False)

    def forward(self, wave: Tensor) -> Tensor:
        """Return the log-mel spectrogram of waves that end in silence."""
        with torch.autocast(wave.device.type, enabled=False):
            spectrum = torch.stft(
                wave.float(), _N_FFT, _HOP, window=self.window, return_complex=True
            )[..., :-1]
            power = torch.view_as_real(spectrum).square().sum(dim=-1)  # [B, 201, frames]
            mel = (self.filters.T @ power).clamp(min=_POWER_FLOOR).log10()
            loudest = mel.amax(dim=(1, 2), keepdim=True)
            return (mel.maximum(loudest - _RANGE) + 4.0) / 4.0
