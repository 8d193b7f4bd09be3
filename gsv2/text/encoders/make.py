"""Text encoders by their configs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from gsv2.pretrained import CONFIG, read_json
from gsv2.text.encoders.byte_encoder import ByteEncoder
from gsv2.text.encoders.config import TextEncoderName, TextVectorsConfig
from gsv2.text.encoders.vector_input import VectorInput
from gsv2.text.encoders.xlm_roberta import XlmRoberta


def make_text_input(
    name: TextEncoderName, vectors: TextVectorsConfig, dim: int
) -> ByteEncoder | VectorInput:
    """Return the part of a GPT that text enters through.

    Args:
        name: text encoder.
        vectors: of the frozen encoder, where the name is not `bytes`.
        dim: model dimension.

    Raises:
        ValueError: the dimension of the vectors is not known.
    """
    if name == "bytes":
        return ByteEncoder(dim)
    if vectors.dim is None:
        raise ValueError(f"text_vectors.dim of {name} is not known yet")
    return VectorInput(vectors.dim, dim)


def make_text_encoder(config: TextVectorsConfig, folder: Path | None = None) -> XlmRoberta:
    """Return the frozen text encoder of a config, with its weights.

    Args:
        config: the encoder.
        folder: folder of the weights, in place of the one that the config names.

    Raises:
        ValueError: the weights are missing, damaged, or not those that the config knows.
    """
    found = folder or config.weights.find()
    config.weights.check(found, config.sha256)
    return XlmRoberta(found).eval()


def attach_text_encoder(
    text_input: ByteEncoder | VectorInput,
    config: TextVectorsConfig,
    folder: Path | None,
    device: torch.device,
) -> None:
    """Load the frozen text encoder of a GPT, for texts that no corpus holds; bytes have none.

    Args:
        text_input: part of the GPT that text enters through.
        config: the encoder.
        folder: folder of its weights; None = where the config says.
        device: device to compute on.

    Raises:
        ValueError: see `make_text_encoder`.
    """
    if isinstance(text_input, VectorInput):
        text_input.attach(make_text_encoder(config, folder).to(device))


def resolve_text_vectors(config: TextVectorsConfig) -> TextVectorsConfig:
    """Return a config with what the folder of its weights says: dimension and hash.

    Raises:
        ValueError: the weights are missing, or of another network.
    """
    folder = config.weights.find()
    settings = read_json(folder / CONFIG)
    if settings.get("model_type") != "xlm-roberta":
        raise ValueError(
            f"{folder}: config.json must be of a xlm-roberta, but is of "
            f"{settings.get('model_type')!r}"
        )
    dim, found = int(settings["hidden_size"]), config.weights.hash(folder)
    return replace(config, dim=dim, sha256=config.sha256 or found)
