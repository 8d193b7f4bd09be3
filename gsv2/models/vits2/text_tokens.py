"""Tokens of texts that the waveform model reads, and what gives them their vectors."""

from __future__ import annotations

from typing import Literal

from gsv2.text.encoders.byte_encoder import ByteEncoder
from gsv2.text.encoders.config import TextVectorsConfig
from gsv2.text.encoders.vector_input import VectorInput

ReadText = Literal["bytes", "bge-m3"]
"""What a token is: a UTF-8 byte with a trained vector, or the frozen encoder's vector of a
subword."""
TokenEncoder = ByteEncoder | VectorInput
"""Tokens -> vectors."""


def make_text_encoder(encoder: ReadText, vectors: TextVectorsConfig, channels: int) -> TokenEncoder:
    """Return what gives tokens vectors of so many channels.

    Raises:
        ValueError: the frozen encoder's dimension is not known.
    """
    if encoder == "bytes":
        return ByteEncoder(channels)
    if vectors.dim is None:
        raise ValueError(f"text vectors of {encoder} have no dimension yet: vectors.dim is empty")
    return VectorInput(vectors.dim, channels)
