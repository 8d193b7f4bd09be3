import torch

from gsv2.text.encoders.byte_encoder import ByteEncoder
from gsv2.text.encoders.interface import PAD


def test_tokens_are_utf8_bytes_padded_on_the_right():
    tokens = ByteEncoder(4).tokenize(["né", "abcd"])
    assert tokens.ids.tolist() == [[0x6E, 0xC3, 0xA9, PAD], [97, 98, 99, 100]]
    assert tokens.lengths.tolist() == [3, 4]


def test_every_byte_has_its_own_vector():
    encoder = ByteEncoder(8)
    vectors = encoder(torch.arange(256)[None])
    assert vectors.shape == (1, 256, 8)
    assert len(torch.unique(vectors[0], dim=0)) == 256
