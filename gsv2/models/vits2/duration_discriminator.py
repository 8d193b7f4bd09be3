"""Duration discriminator of VITS2 (arXiv 2307.16430, section 2.1), one logit a token.

It reads the text's hidden states beside the durations, so that it judges whether these fit this
text. We differ in its blocks, which are ConvNeXt's.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gsv2.nn.framerate import ConvBlock


@dataclass(frozen=True, kw_only=True)
class DurationDiscriminatorConfig:
    """The duration discriminator."""

    channels: int = 256
    """Channels of its blocks."""
    num_blocks: int = 3
    """Number of convolution blocks."""
    kernel_size: int = 5
    """Kernel size of the blocks, in tokens; odd."""

    def __post_init__(self) -> None:
        """Check what keeps the length."""
        if self.kernel_size % 2 == 0:
            raise ValueError(
                f"duration_discriminator: kernel_size must be odd, but is {self.kernel_size}"
            )


class DurationDiscriminator(nn.Module):
    """Text and durations -> logits.

    Args:
        config: sizes.
        dim: dimension of the text encoder's hidden states.
    """

    def __init__(self, config: DurationDiscriminatorConfig, dim: int) -> None:
        super().__init__()
        self.text = nn.Linear(dim, config.channels)
        self.duration = nn.Linear(1, config.channels)
        self.blocks = nn.ModuleList(
            ConvBlock(config.channels, config.kernel_size) for _ in range(config.num_blocks)
        )
        self.output = nn.Linear(config.channels, 1)

    def forward(self, hidden: Tensor, log_durations: Tensor, mask: Tensor) -> Tensor:
        """Judge durations.

        Args:
            hidden: [B, S, dim] of the text encoder.
            log_durations: [B, S] logarithms of frames.
            mask: [B, S] bool.

        Returns:
            [B, S] logits: 1 for durations of recordings, 0 for predicted ones.
        """
        valid = mask.unsqueeze(-1)
        known = torch.where(valid, log_durations.unsqueeze(-1), 0.0)
        x = self.text(hidden) + self.duration(known)
        for block in self.blocks:
            x = block(x, mask)
        return self.output(x).squeeze(-1)
