"""HuBERT (arXiv 2106.07447): `chinese-hubert-large` and `mhubert-147` (arXiv 2406.06371).

Networks whose first convolution has a group norm take statistics over the whole of what they are
given, so that padding would change every frame: their convolutions see clips of one length at a
time. Those with layer norms are padded. The transformer has a mask in both. Public systems pad the
former without a mask, and their features depend on the batch.

Forty zeros on both sides put frame t around sample 320 t + 160 and make n // 320 of n samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from gsv2.audio.speech_encoders.config import PREPROCESSOR
from gsv2.audio.speech_encoders.pretrained import NetworkSizes, SpeechNetwork
from gsv2.audio.speech_encoders.resampling import FRAME_SAMPLES
from gsv2.pretrained import load_network, read_json

_FIELD_SAMPLES = 400
"""Samples that a frame of the convolutions sees."""
_EDGE = (_FIELD_SAMPLES - FRAME_SAMPLES) // 2
_VARIANCE_FLOOR = 1e-7
"""Added to the variance of a wave, as transformers' feature extractor does."""


class Hubert(SpeechNetwork):
    """Hidden layer of a HuBERT, with layer norms or a group norm, as its config says."""

    def __init__(self, folder: Path, layer: int | None) -> None:
        super().__init__(folder, layer)
        from transformers import HubertConfig, HubertModel

        settings = HubertConfig.from_pretrained(str(folder))
        _check_convolutions(settings, folder)
        is_inner = layer is not None and layer < settings.num_hidden_layers
        settings.num_hidden_layers = layer or settings.num_hidden_layers
        self.model: Any = load_network(HubertModel, folder, settings)
        if is_inner and settings.do_stable_layer_norm:
            self.model.encoder.layer_norm = nn.Identity()  # that after the last layer
        self.dim = int(settings.hidden_size)
        self._takes_lengths_apart = settings.feat_extract_norm == "group"
        self._normalises = bool(read_json(folder / PREPROCESSOR).get("do_normalize", True))

    @staticmethod
    def sizes(settings: Mapping[str, Any]) -> NetworkSizes:
        """See `SpeechNetwork.sizes`."""
        if settings.get("model_type") != "hubert":
            raise ValueError(
                f"config.json must be of a hubert, but is of {settings.get('model_type')!r}"
            )
        return NetworkSizes(int(settings["num_hidden_layers"]), int(settings["hidden_size"]))

    def forward(self, wave: Tensor, lengths: Tensor) -> Tensor:
        """See `SpeechNetwork.forward`."""
        if self._normalises:
            wave = _normalised(wave, lengths)
        num_frames = lengths // FRAME_SAMPLES
        most = wave.shape[-1] // FRAME_SAMPLES
        if self._takes_lengths_apart:
            local = self._by_length(wave, lengths, most)
        else:
            local = self._convolve(wave)[:, :most]
        mask = torch.arange(most, device=wave.device) < num_frames.clamp(min=1)[:, None]
        hidden = self.model.feature_projection(local)
        return self.model.encoder(hidden, attention_mask=mask).last_hidden_state

    def _by_length(self, wave: Tensor, lengths: Tensor, most: int) -> Tensor:
        """Return the convolutions' output [B, most, C]; clips of one length go together."""
        local: Tensor | None = None
        for length in sorted(set(lengths.tolist())):
            if length < FRAME_SAMPLES:
                continue
            rows = lengths == length
            found = self._convolve(wave[rows, :length])
            if local is None:
                local = found.new_zeros(len(wave), most, found.shape[-1])
            local[rows, : found.shape[1]] = found
        if local is None:  # no clip has a frame
            return wave.new_zeros(len(wave), most, int(self.model.config.conv_dim[-1]))
        return local

    def _convolve(self, wave: Tensor) -> Tensor:
        """Return the convolutions' output: [B, n] -> [B, n // 320, C]."""
        return self.model.feature_extractor(functional.pad(wave, (_EDGE, _EDGE))).transpose(1, 2)


def _normalised(wave: Tensor, lengths: Tensor) -> Tensor:
    """Bring each clip to mean 0 and variance 1; [B, n], zero beyond the lengths."""
    inside = torch.arange(wave.shape[-1], device=wave.device) < lengths[:, None]
    count = lengths.clamp(min=1)[:, None]
    centred = (wave - wave.sum(dim=1, keepdim=True) / count) * inside
    variance = centred.square().sum(dim=1, keepdim=True) / count
    return centred / (variance + _VARIANCE_FLOOR).sqrt()


def _check_convolutions(settings: Any, folder: Path) -> None:
    """Check that the convolutions make frames of 320 samples that see 400.

    Raises:
        ValueError: they do not.
    """
    stride, field = 1, 1
    for kernel, step in zip(settings.conv_kernel, settings.conv_stride, strict=True):
        field += (kernel - 1) * stride
        stride *= step
    if (stride, field) != (FRAME_SAMPLES, _FIELD_SAMPLES):
        raise ValueError(
            f"{folder}: the convolutions must make frames of {FRAME_SAMPLES} samples that see "
            f"{_FIELD_SAMPLES}, but make frames of {stride} that see {field}"
        )
