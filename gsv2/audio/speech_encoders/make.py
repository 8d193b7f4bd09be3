"""Speech encoders by their configs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from gsv2.audio.speech_encoders.config import USUAL_LAYERS, SpeechEncoderConfig
from gsv2.audio.speech_encoders.hubert import Hubert
from gsv2.audio.speech_encoders.logmel import LogMelEncoder
from gsv2.audio.speech_encoders.pretrained import PretrainedEncoder, SpeechNetwork
from gsv2.audio.speech_encoders.w2v_bert import W2vBert
from gsv2.audio.speech_encoders.whisper import Whisper
from gsv2.pretrained import CONFIG, read_json

_NETWORKS: dict[str, type[SpeechNetwork]] = {
    "w2v-bert-2.0": W2vBert,
    "chinese-hubert-large": Hubert,
    "mhubert-147": Hubert,
    "whisper": Whisper,
}
"""Pretrained encoder -> network that computes it."""


def make_speech_encoder(
    config: SpeechEncoderConfig, folder: Path | None = None
) -> LogMelEncoder | PretrainedEncoder:
    """Return the frozen speech encoder that a config names, with its weights.

    Args:
        config: config as `resolve_speech_encoder` returns it.
        folder: folder of the weights, in place of the one that the config names.

    Raises:
        ValueError: the weights are missing, damaged, or not those that the config knows; the
            message names files and folder.
    """
    if not config.is_pretrained:
        return LogMelEncoder(config).eval()
    found = folder or config.weights.find()
    config.weights.check(found, config.sha256)
    network = _NETWORKS[config.name](found, config.layer)
    return PretrainedEncoder(config.name, network).eval()


def resolve_speech_encoder(config: SpeechEncoderConfig) -> SpeechEncoderConfig:
    """Return a config with what the folder of its weights says: layer, features, hash.

    Raises:
        ValueError: the weights are missing, or have fewer layers.
    """
    if not config.is_pretrained:
        return config
    folder = config.weights.find()
    sizes = _NETWORKS[config.name].sizes(read_json(folder / CONFIG))
    layer = config.layer or USUAL_LAYERS.get(config.name, sizes.num_layers)
    if not 1 <= layer <= sizes.num_layers:
        raise ValueError(
            f"speech_encoder.layer must be 1 to {sizes.num_layers}, the layers of {folder}, "
            f"but is {layer}"
        )
    return replace(
        config,
        layer=layer,
        num_features=sizes.num_features,
        sha256=config.sha256 or config.weights.hash(folder),
    )
