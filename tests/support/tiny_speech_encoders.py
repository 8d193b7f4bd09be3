"""Tiny speech encoders of the real classes, as folders that transformers has saved."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch
from torch import nn

from gsv2.audio.speech_encoders.config import SpeechEncoderConfig, SpeechEncoderName

LAYERS = 3
DIM = 16
NAMES: tuple[SpeechEncoderName, ...] = (
    "w2v-bert-2.0",
    "chinese-hubert-large",
    "mhubert-147",
    "whisper",
)


def save_speech_encoder(folder: Path, name: SpeechEncoderName, seed: int = 0) -> Path:
    """Save an encoder of random weights with the configuration kind of `name`."""
    torch.manual_seed(seed)
    model, preprocessor = {
        "w2v-bert-2.0": _w2v_bert,
        "chinese-hubert-large": lambda: _hubert("layer"),
        "mhubert-147": lambda: _hubert("group"),
        "whisper": _whisper,
    }[name]()
    model.save_pretrained(folder)
    preprocessor.save_pretrained(folder)
    return folder


def encoder_config(folder: Path, name: SpeechEncoderName, **options: object) -> SpeechEncoderConfig:
    """Return the config of a saved encoder, of its last layer unless told otherwise."""
    config = SpeechEncoderConfig(name=name, path=str(folder), layer=LAYERS)
    return dataclasses.replace(config, **options)


def _hubert(norm: str) -> tuple[nn.Module, object]:
    from transformers import HubertConfig, HubertModel, Wav2Vec2FeatureExtractor

    config = HubertConfig(
        hidden_size=DIM,
        num_hidden_layers=LAYERS,
        num_attention_heads=2,
        intermediate_size=32,
        conv_dim=(8,) * 7,
        conv_bias=norm == "layer",
        feat_extract_norm=norm,
        do_stable_layer_norm=norm == "layer",
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
        initializer_range=0.3,
    )
    extractor = Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=norm == "layer")
    return HubertModel(config), extractor


def _w2v_bert() -> tuple[nn.Module, object]:
    from transformers import SeamlessM4TFeatureExtractor, Wav2Vec2BertConfig, Wav2Vec2BertModel

    config = Wav2Vec2BertConfig(
        hidden_size=DIM,
        output_hidden_size=DIM,
        num_hidden_layers=LAYERS,
        num_attention_heads=2,
        intermediate_size=32,
        conv_depthwise_kernel_size=5,
        initializer_range=0.3,
    )
    return Wav2Vec2BertModel(config), SeamlessM4TFeatureExtractor()


def _whisper() -> tuple[nn.Module, object]:
    from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperModel

    config = WhisperConfig(
        d_model=DIM,
        encoder_layers=LAYERS,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        max_source_positions=150,
        vocab_size=16,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
        init_std=0.3,
    )
    return WhisperModel(config), WhisperFeatureExtractor(feature_size=80)
