"""w2v-BERT 2.0 (arXiv 2312.05187), a conformer over Kaldi's filter bank; layer 17 by default.

It has layer norms and a causal convolution alone, so that a padded batch with a mask gives each
clip what it has alone. Two frames of 10 ms are stacked into one of 20 ms; 120 zeros on both sides
put it around sample 320 t + 160 and make n // 320 of n samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from gsv2.audio.speech_encoders.kaldi_fbank import FIELD, HOP, KaldiFilterBank, normalise_bands
from gsv2.audio.speech_encoders.pretrained import NetworkSizes, SpeechNetwork
from gsv2.audio.speech_encoders.resampling import FRAME_SAMPLES
from gsv2.pretrained import load_network

_STACKED = FRAME_SAMPLES // HOP
"""Frames of the filter bank in a frame of the network."""
_EDGE = (FIELD - HOP) // 2


class W2vBert(SpeechNetwork):
    """Hidden layer of a `Wav2Vec2BertModel`; the layers above it are not loaded."""

    def __init__(self, folder: Path, layer: int | None) -> None:
        super().__init__(folder, layer)
        from transformers import Wav2Vec2BertConfig, Wav2Vec2BertModel

        settings = Wav2Vec2BertConfig.from_pretrained(str(folder))
        settings.num_hidden_layers = layer or settings.num_hidden_layers
        settings.add_adapter = False
        settings.use_intermediate_ffn_before_adapter = False
        self.model: Any = load_network(Wav2Vec2BertModel, folder, settings)
        self.dim = int(settings.hidden_size)
        self.filter_bank = KaldiFilterBank(settings.feature_projection_input_dim // _STACKED)

    @staticmethod
    def sizes(settings: Mapping[str, Any]) -> NetworkSizes:
        """See `SpeechNetwork.sizes`."""
        if settings.get("model_type") != "wav2vec2-bert":
            raise ValueError(
                f"config.json must be of a wav2vec2-bert, but is of {settings.get('model_type')!r}"
            )
        return NetworkSizes(int(settings["num_hidden_layers"]), int(settings["hidden_size"]))

    def forward(self, wave: Tensor, lengths: Tensor) -> Tensor:
        """See `SpeechNetwork.forward`."""
        num_frames = lengths // FRAME_SAMPLES
        most = wave.shape[-1] // FRAME_SAMPLES
        bank = self.filter_bank(functional.pad(wave, (_EDGE, _EDGE)))[:, : most * _STACKED]
        normalised = normalise_bands(bank, num_frames * _STACKED)
        stacked = normalised.reshape(len(wave), most, -1)  # [B, T, 2 * num_mels]
        mask = torch.arange(most, device=wave.device) < num_frames.clamp(min=1)[:, None]
        return self.model(stacked, attention_mask=mask).last_hidden_state
