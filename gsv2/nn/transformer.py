"""Transformer over frames, non-causal: pre-norm, rotary positions, convolutional feed-forward.

The feed-forward's first layer is a convolution, as in the text encoder of VITS (arXiv 2106.06103,
appendix); the style enters as a bias before a chosen block, as VITS2 (arXiv 2307.16430, section
2.4) does with the speaker.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor, nn
from torch.nn import functional

from gsv2.nn.attention import SelfAttention, rotary_table
from gsv2.nn.recompute import run_block


@dataclass(frozen=True, kw_only=True)
class BlockConfig:
    """A block; its width is that of its owner."""

    num_heads: int = 8
    """Number of attention heads."""
    ffn_dim: int = 2048
    """Width of the feed-forward."""
    kernel_size: int = 3
    """Kernel size of the feed-forward's first layer, in frames; odd."""
    dropout: float = 0.1
    """Probability of dropping a value of attention and feed-forward."""

    def __post_init__(self) -> None:
        """Check that the length is kept."""
        if self.kernel_size % 2 == 0:
            raise ValueError(f"transformer: kernel_size must be odd, but is {self.kernel_size}")


@dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    """A stack of blocks."""

    num_layers: int = 6
    """Number of blocks."""
    style_layer: int = 2
    """Index of the first block that knows the style (2 = the third)."""
    block: BlockConfig = field(default_factory=BlockConfig)
    """Each of the blocks."""

    def __post_init__(self) -> None:
        """Check that the style enters somewhere."""
        if not 0 <= self.style_layer < self.num_layers:
            raise ValueError(
                f"transformer: style_layer must be in 0..{self.num_layers - 1}, "
                f"but is {self.style_layer}"
            )


class TransformerBlock(nn.Module):
    """Self-attention, then a convolutional feed-forward, each added to its input."""

    def __init__(self, dim: int, config: BlockConfig) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(dim)
        self.attention = SelfAttention(dim, config.num_heads, config.dropout)
        self.ffn_norm = nn.LayerNorm(dim)
        self.widen = nn.Conv1d(
            dim, config.ffn_dim, config.kernel_size, padding=config.kernel_size // 2
        )
        self.narrow = nn.Linear(config.ffn_dim, dim)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, mask: Tensor, rotary: Tensor) -> Tensor:
        """Run one block.

        Args:
            x: [B, T, D].
            mask: [B, T].
            rotary: [2, T, head_dim / 2].

        Returns:
            [B, T, D]; at padding, undefined.
        """
        x = x + self.dropout(self.attention(self.attention_norm(x), mask, rotary))
        valid = self.ffn_norm(x) * mask.unsqueeze(-1)
        wide = functional.gelu(self.widen(valid.transpose(1, 2)))  # [B, ffn_dim, T]
        return x + self.dropout(self.narrow(self.dropout(wide.transpose(1, 2))))


class Transformer(nn.Module):
    """Stack of blocks with a final norm."""

    def __init__(self, dim: int, config: TransformerConfig, style_dim: int) -> None:
        super().__init__()
        self.config = config
        self.blocks = nn.ModuleList(
            TransformerBlock(dim, config.block) for _ in range(config.num_layers)
        )
        self.style = nn.Linear(style_dim, dim)
        self.norm = nn.LayerNorm(dim)

    def forward(
        self,
        x: Tensor,
        mask: Tensor,
        style: Tensor,
        informed: Callable[[Tensor], Tensor] | None = None,
    ) -> Tensor:
        """Run the stack.

        Args:
            x: [B, T, D].
            mask: [B, T].
            style: [B, style_dim].
            informed: adds something else to [B, T, D] where the style enters.

        Returns:
            [B, T, D]; at padding, 0.
        """
        head_dim = x.shape[-1] // self.config.block.num_heads
        rotary = rotary_table(x.shape[1], head_dim, x.device)
        for index, block in enumerate(self.blocks):
            if index == self.config.style_layer:
                x = x + self.style(style).unsqueeze(1)
                x = x if informed is None else informed(x)
            x = run_block(block, x, mask, rotary)
        return self.norm(x) * mask.unsqueeze(-1)
