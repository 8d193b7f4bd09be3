"""Encoders of the texts that the waveform model reads."""

import pytest

from gsv2.models.vits2.text_tokens import make_text_encoder
from gsv2.text.encoders.byte_encoder import ByteEncoder
from gsv2.text.encoders.config import TextVectorsConfig
from gsv2.text.encoders.vector_input import VectorInput


def test_bytes_have_trained_vectors_and_subwords_those_of_the_frozen_encoder() -> None:
    assert isinstance(make_text_encoder("bytes", TextVectorsConfig(), 6), ByteEncoder)
    of_subwords = make_text_encoder("bge-m3", TextVectorsConfig(dim=5), 6)
    assert isinstance(of_subwords, VectorInput)
    assert [tuple(p.shape) for p in of_subwords.parameters() if p.ndim == 2] == [(6, 5)]


def test_an_encoder_of_unknown_dimension_is_named() -> None:
    with pytest.raises(ValueError, match="text vectors of bge-m3 have no dimension yet"):
        make_text_encoder("bge-m3", TextVectorsConfig(), 6)
