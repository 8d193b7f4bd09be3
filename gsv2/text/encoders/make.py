"""Text encoders by their configs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from gsv2.pretrained import CONFIG, read_json
from gsv2.text.encoders.byte_encoder import ByteEncoder
from gsv2.text.encoders.config import (
    BGE_M3,
    QWEN2,
    TextEncoderName,
    TextVectorsConfig,
    TokenizerConfig,
    tokenizer_hash,
)
from gsv2.text.encoders.subword_encoder import SubwordEncoder, read_tokenizer
from gsv2.text.encoders.vector_input import VectorInput
from gsv2.text.encoders.xlm_roberta import XlmRoberta

TextInput = ByteEncoder | VectorInput | SubwordEncoder
"""Part of a GPT that text enters through."""


def make_text_input(
    name: TextEncoderName, vectors: TextVectorsConfig, tokenizer: TokenizerConfig, dim: int
) -> TextInput:
    """Return the part of a GPT that text enters through.

    Args:
        name: text encoder.
        vectors: config of the frozen encoder `bge-m3`.
        tokenizer: config of the tokenizer of `qwen2`.
        dim: model dimension.

    Raises:
        ValueError: the dimension of the vectors, or the number of subwords, is not known.
    """
    sizes = {BGE_M3: ("text_vectors.dim", vectors.dim), QWEN2: ("tokenizer.size", tokenizer.size)}
    if name not in sizes:
        return ByteEncoder(dim)
    key, size = sizes[name]
    if size is None:
        raise ValueError(f"{key} of {name} is not known yet")
    return VectorInput(size, dim) if name == BGE_M3 else SubwordEncoder(size, dim)


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
    text_input: TextInput,
    vectors: TextVectorsConfig,
    tokenizer: TokenizerConfig,
    folder: Path | None,
    device: torch.device,
) -> None:
    """Give a GPT what turns texts into its tokens; bytes need nothing.

    Args:
        text_input: part of the GPT that text enters through.
        vectors: config of its frozen encoder, for texts that no corpus holds.
        tokenizer: config of the tokenizer of its subwords.
        folder: folder of the encoder or the tokenizer; None = where the config says.
        device: device to compute on.

    Raises:
        ValueError: see `make_text_encoder` and `TokenizerConfig.find`.
    """
    attach_vectors(text_input, vectors, folder, device)
    if isinstance(text_input, SubwordEncoder):
        text_input.attach(read_tokenizer(tokenizer.find(folder)))


def attach_vectors(
    text_input: TextInput | None,
    vectors: TextVectorsConfig | None,
    folder: Path | None,
    device: torch.device,
) -> None:
    """Give a network that reads text vectors their frozen encoder; any other needs nothing.

    Args:
        text_input: part of the network that text enters through.
        vectors: config of its frozen encoder.
        folder: folder of the encoder; None = where the config says.
        device: device to compute on.

    Raises:
        ValueError: see `make_text_encoder`.
    """
    if isinstance(text_input, VectorInput):
        assert vectors is not None, "a network that reads vectors knows whose"
        text_input.attach(make_text_encoder(vectors, folder).to(device))


def share_text_encoder(text_input: TextInput, other: TextInput) -> None:
    """Give a GPT what another of the same config was given by `attach_text_encoder`."""
    if isinstance(text_input, VectorInput):
        assert isinstance(other, VectorInput), "one config made both"
        text_input.share(other)
    elif isinstance(text_input, SubwordEncoder):
        assert isinstance(other, SubwordEncoder), "one config made both"
        text_input.share(other)


def resolve_tokenizer(config: TokenizerConfig) -> TokenizerConfig:
    """Return a config with what the file of the tokenizer says: size and hash.

    Raises:
        ValueError: it is missing, damaged, or another one.
    """
    file = config.find()
    size = max(read_tokenizer(file).get_vocab(with_added_tokens=True).values()) + 1
    return replace(config, size=size, sha256=tokenizer_hash(file))


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
