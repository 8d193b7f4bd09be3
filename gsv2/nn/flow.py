"""Normalizing flow: mean-only couplings, each a transformer block and a WaveNet.

VITS (arXiv 2106.06103, section 2.2) with the transformer block of VITS2 (arXiv 2307.16430,
section 2.3). The couplings only add, so the flow preserves volume: its log-determinant is 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from gsv2.nn.attention import rotary_table
from gsv2.nn.recompute import run_block
from gsv2.nn.transformer import BlockConfig, TransformerBlock
from gsv2.nn.wavenet import WaveNet, WaveNetConfig


@dataclass(frozen=True, kw_only=True)
class FlowConfig:
    """A flow."""

    num_couplings: int = 4
    """Number of couplings."""
    wavenet: WaveNetConfig = field(default_factory=lambda: WaveNetConfig(num_layers=4))
    """The WaveNet of each coupling."""
    block: BlockConfig = field(
        default_factory=lambda: BlockConfig(num_heads=2, ffn_dim=192, dropout=0.0)
    )
    """Transformer block before the WaveNet, over half of the latent channels."""


class MeanCoupling(nn.Module):
    """Addition to one half of the channels, computed from the other half, which stays."""

    def __init__(self, latent_channels: int, config: FlowConfig, style_dim: int) -> None:
        super().__init__()
        half = latent_channels // 2
        self.num_heads = config.block.num_heads
        self.block = TransformerBlock(half, config.block)
        self.pre = nn.Conv1d(half, config.wavenet.channels, 1)
        self.wavenet = WaveNet(config.wavenet, style_dim)
        self.post = nn.Conv1d(config.wavenet.channels, half, 1)
        nn.init.zeros_(self.post.weight)  # a new coupling is the identity
        assert self.post.bias is not None
        nn.init.zeros_(self.post.bias)

    def forward(self, half: Tensor, mask: Tensor, style: Tensor) -> Tensor:
        """Return the addition to the other half.

        Args:
            half: [B, latent_channels / 2, T], 0 at padding.
            mask: [B, T].
            style: [B, style_dim].

        Returns:
            [B, latent_channels / 2, T]; at padding, 0.
        """
        valid = mask.unsqueeze(1)
        rotary = rotary_table(half.shape[-1], half.shape[1] // self.num_heads, half.device)
        mixed = self.block(half.transpose(1, 2), mask, rotary)  # [B, T, latent_channels / 2]
        hidden = self.pre(mixed.transpose(1, 2)) * valid
        return self.post(self.wavenet(hidden, mask, style)) * valid


class Flow(nn.Module):
    """Invertible map between posterior and prior latents."""

    def __init__(self, latent_channels: int, config: FlowConfig, style_dim: int) -> None:
        super().__init__()
        if latent_channels % 2:
            raise ValueError(f"latent_channels must be even, but is {latent_channels}")
        self.couplings = nn.ModuleList(
            MeanCoupling(latent_channels, config, style_dim) for _ in range(config.num_couplings)
        )

    def forward(self, z: Tensor, mask: Tensor, style: Tensor) -> Tensor:
        """Map a posterior latent to the prior's space.

        Args:
            z: [B, latent_channels, T], 0 at padding.
            mask: [B, T].
            style: [B, style_dim].

        Returns:
            [B, latent_channels, T].
        """
        kept, changed = z.chunk(2, dim=1)
        for coupling in self.couplings:
            kept, changed = changed + run_block(coupling, kept, mask, style), kept
        return torch.cat([kept, changed], dim=1)

    def inverse(self, z_p: Tensor, mask: Tensor, style: Tensor) -> Tensor:
        """Undo `forward`.

        Args:
            z_p: [B, latent_channels, T], 0 at padding.
            mask: [B, T].
            style: [B, style_dim].

        Returns:
            [B, latent_channels, T].
        """
        kept, changed = z_p.chunk(2, dim=1)
        for coupling in reversed(self.couplings):
            kept, changed = changed, kept - coupling(changed, mask, style)
        return torch.cat([kept, changed], dim=1)
