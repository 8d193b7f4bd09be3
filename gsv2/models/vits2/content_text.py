"""Cross-attention of the content encoder to the text that its codes say.

Codes at 25 Hz leave open what the text knows, as GPT-SoVITS' encoder of codes and phonemes has it.
A frame looks for its token near the place at which it would be if all tokens were equally long:
places of frames are scaled to tokens, so that no alignment is needed. A new one adds nothing, and
some clips train without their text, so that codes alone, as in voice conversion, still speak.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from gsv2.models.vits2.text_tokens import ReadText, make_text_encoder
from gsv2.nn.attention import CrossAttention, rotary_table
from gsv2.nn.masks import length_mask
from gsv2.nn.recompute import run_block
from gsv2.nn.transformer import BlockConfig, TransformerBlock
from gsv2.text.encoders.config import TextVectorsConfig
from gsv2.text.encoders.interface import PAD, TextTokens


@dataclass(frozen=True, kw_only=True)
class ContentTextConfig:
    """The text beside codes."""

    encoder: ReadText = "bytes"
    """What a token is: a UTF-8 byte with a trained vector, or the frozen encoder's vector of a
    subword, which corpora hold as `texts`."""
    vectors: TextVectorsConfig = field(default_factory=TextVectorsConfig)
    """Frozen encoder of the vectors; where `encoder` is not `bytes`."""
    num_layers: int = 2
    """Number of transformer blocks over the text, of the content encoder's size."""
    text_dropout: float = 0.1
    """Probability that a clip trains without its text."""

    def __post_init__(self) -> None:
        """Check the values that no type can."""
        if self.num_layers < 0:
            raise ValueError(
                f"content_text: num_layers must be at least 0, but is {self.num_layers}"
            )
        if not 0 <= self.text_dropout < 1:
            raise ValueError(
                "content_text: text_dropout must be at least 0 and below 1, "
                f"but is {self.text_dropout}"
            )


class ContentText(nn.Module):
    """Frames and a text -> frames that know it.

    Args:
        config: kind of tokens.
        channels: width.
        block: sizes of the blocks, and of the attention to the text.
    """

    def __init__(self, config: ContentTextConfig, channels: int, block: BlockConfig) -> None:
        super().__init__()
        self.text_encoder = make_text_encoder(config.encoder, config.vectors, channels)
        self.num_heads = block.num_heads
        self.text_dropout = config.text_dropout
        self.blocks = nn.ModuleList(
            TransformerBlock(channels, block) for _ in range(config.num_layers)
        )
        self.text_norm, self.norm = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.attention = CrossAttention(channels, block.num_heads, block.dropout)
        nn.init.zeros_(self.attention.out_proj.weight)  # codes that were learnt alone go on
        nn.init.zeros_(self.attention.out_proj.bias)

    def forward(self, x: Tensor, mask: Tensor, text: TextTokens) -> Tensor:
        """Add what the texts say; nothing for a text without a token.

        Args:
            x: [B, T, channels].
            mask: [B, T] of the frames.
            text: tokens of the B texts.

        Returns:
            [B, T, channels]; at padding, undefined.
        """
        ids, lengths = _with_a_token(text.ids), text.lengths.to(x.device)
        S, T = ids.shape[1], x.shape[1]
        token_mask = length_mask(lengths.clamp(min=1), S)
        hidden = self.text_encoder(ids)  # [B, S, channels]
        rotary = rotary_table(S, hidden.shape[-1] // self.num_heads, x.device)
        for block in self.blocks:
            hidden = run_block(block, hidden, token_mask, rotary)
        hidden = self.text_norm(hidden) * token_mask.unsqueeze(-1)
        tokens_per_frame = lengths / mask.sum(dim=1)  # [B]
        frames, tokens = (torch.arange(size, device=x.device) for size in (T, S))
        places = frames * tokens_per_frame.unsqueeze(-1)
        added = self.attention(self.norm(x), hidden, token_mask, places, tokens)
        return x + added * self._draw_has_text(lengths)[:, None, None]

    def _draw_has_text(self, lengths: Tensor) -> Tensor:
        """Draw which clips know their text, [B] bool."""
        has_text = lengths > 0
        if not self.training or not self.text_dropout:
            return has_text
        drawn = torch.rand(len(lengths)).to(lengths.device)  # on the CPU: the same on any device
        return has_text & (drawn >= self.text_dropout)


def _with_a_token(ids: Tensor) -> Tensor:
    """Return ids or vectors with one place at least, padding if no text has a token."""
    if ids.shape[1]:
        return ids
    is_vector = ids.dim() > 2
    padding = (0, 0, 0, 1) if is_vector else (0, 1)
    return functional.pad(ids, padding, value=0 if is_vector else PAD)
