"""Cross-attention of the content encoder to the text of its codes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from gsv2.models.vits2.config import VITS2Config
from gsv2.models.vits2.content import ContentEncoder
from gsv2.models.vits2.content_text import ContentText, ContentTextConfig
from gsv2.models.vits2.style import StyleConfig
from gsv2.nn.codes import CodeConfig
from gsv2.nn.masks import length_mask
from gsv2.nn.transformer import BlockConfig, TransformerConfig
from gsv2.text.encoders.config import TextVectorsConfig
from gsv2.text.encoders.interface import TextTokens

BLOCK = BlockConfig(num_heads=2, ffn_dim=16, dropout=0.0)
CONFIG = VITS2Config(
    codes=CodeConfig(codebook_size=16, dim=5),
    channels=8,
    latent_channels=4,
    content=TransformerConfig(num_layers=3, block=BLOCK),
    style=StyleConfig(dim=3),
    content_text=ContentTextConfig(),
)
MASK = length_mask(torch.tensor([7, 5]), 7)


def make_text(trained: bool = True, **config: object) -> ContentText:
    torch.manual_seed(0)
    text = ContentText(ContentTextConfig(**config), 8, BLOCK)
    if trained:
        torch.nn.init.normal_(text.attention.out_proj.weight)
    return text.eval()


def tokens(*texts: str) -> TextTokens:
    return TextTokens.padded([list(text.encode()) for text in texts])


def frames() -> Tensor:
    return torch.randn(2, 7, 8, generator=torch.Generator().manual_seed(1))


def test_a_new_one_speaks_as_the_encoder_of_codes_alone() -> None:
    told = ContentEncoder(CONFIG).eval()
    alone = ContentEncoder(replace(CONFIG, content_text=None)).eval()
    missing = told.load_state_dict(alone.state_dict(), strict=False)
    assert missing.unexpected_keys == []
    assert all(name.startswith("text.") for name in missing.missing_keys)
    vectors, style = torch.randn(2, 4, 5), torch.randn(2, 3)
    expected = alone(vectors, MASK, style)
    for text in (tokens("some text", "more"), None):
        for found, wanted in zip(told(vectors, MASK, style, text=text), expected, strict=True):
            assert torch.equal(found, wanted)


def test_neither_padding_of_the_text_nor_of_the_frames_changes_a_valid_frame() -> None:
    text, x = make_text(), frames()
    together = text(x, MASK, tokens("a rather long text", "short"))
    alone = text(x[1:, :5], MASK[1:, :5], tokens("short"))
    torch.testing.assert_close(together[1:, :5], alone, rtol=0, atol=1e-5)
    assert (alone - x[1:, :5]).abs().max() > 0.1


def test_a_text_without_a_token_adds_nothing() -> None:
    text, x = make_text(), frames()
    assert torch.equal(text(x, MASK, tokens("", "")), x)
    mixed = text(x, MASK, tokens("", "ab"))
    assert torch.equal(mixed[0], x[0])
    assert torch.isfinite(mixed).all()


def test_frames_look_near_the_place_where_their_token_would_be_said() -> None:
    """A query and a key that are alike meet where the distance of their places is 0."""
    text = make_text(num_layers=0)
    with torch.no_grad():
        for layer in (text.attention.query, text.attention.key_value):
            layer.weight.zero_()
            layer.bias.zero_()
        text.attention.query.bias.fill_(8.0)  # the same of every frame
        text.attention.key_value.bias[:8] = 8.0  # the keys: the same of every token
        text.attention.key_value.weight[8:] = torch.eye(8)
        text.attention.out_proj.weight.copy_(torch.eye(8))
        x, mask = torch.zeros(1, 6, 8), torch.ones(1, 6, dtype=torch.bool)
        letters = tokens("abc")
        added = text(x, mask, letters)
        of_letters = text.text_norm(text.text_encoder(letters.ids))[0]
    nearest = torch.cdist(added[0], of_letters).argmin(dim=1)
    assert nearest[[0, 2, 4]].tolist() == [0, 1, 2]


def test_every_parameter_learns_and_a_share_of_clips_goes_without() -> None:
    text = make_text(text_dropout=0.5).train()
    x = torch.randn(64, 7, 8)
    torch.manual_seed(3)
    added = text(x, torch.ones(64, 7, dtype=torch.bool), tokens(*["words"] * 64)) - x
    told = (added.abs().amax(dim=(1, 2)) > 0).sum().item()
    assert 20 <= told <= 44
    added.square().sum().backward()
    assert [name for name, p in text.named_parameters() if p.grad is None] == []


def test_vectors_of_a_frozen_encoder_take_the_place_of_bytes() -> None:
    text = make_text(encoder="bge-m3", vectors=TextVectorsConfig(dim=12))
    told = TextTokens(torch.randn(2, 4, 12), torch.tensor([4, 2]))
    x = frames()
    other = told._replace(ids=told.ids.index_fill(1, torch.tensor([2, 3]), 9.0))
    assert torch.equal(text(x, MASK, told)[1], text(x, MASK, other)[1])
    assert not torch.equal(text(x, MASK, told)[0], text(x, MASK, other)[0])


def test_what_cannot_be_meant_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="text_dropout must be at least 0 and below 1, but is"):
        ContentTextConfig(text_dropout=1.0)
    with pytest.raises(ValueError, match="num_layers must be at least 0, but is -1"):
        ContentTextConfig(num_layers=-1)
    with pytest.raises(ValueError, match="content_text must be left out for prior=text"):
        VITS2Config(prior="text", content_text=ContentTextConfig())
    with pytest.raises(ValueError, match="bge-m3 have no dimension yet"):
        ContentText(ContentTextConfig(encoder="bge-m3"), 8, BLOCK)
