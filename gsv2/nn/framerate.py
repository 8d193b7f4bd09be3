"""Frame-rate codec: convolutional encoder and decoder that change the rate by a whole factor.

Every convolution sees zeros beyond a clip's end, so that the result for a clip does not depend
on what it is padded to.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True, kw_only=True)
class FrameCodecConfig:
    """Sizes of `FrameEncoder` and `FrameDecoder`."""

    input_dim: int
    """Number of features of a fast frame."""
    width: int
    """Channels of the convolution blocks."""
    output_dim: int
    """Number of features of a slow frame."""
    stride: int
    """Number of fast frames to a slow frame."""
    num_blocks: int
    """Number of convolution blocks of the encoder, and of the decoder."""
    kernel_size: int
    """Kernel size of the blocks, in slow frames; odd."""

    def __post_init__(self) -> None:
        """Check the values that no type can."""
        if self.kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd, but is {self.kernel_size}")
        if self.stride < 1:
            raise ValueError(f"stride must be at least 1, but is {self.stride}")


class ConvBlock(nn.Module):
    """Depthwise convolution and a feed-forward layer around a residual (ConvNeXt, 2201.03545)."""

    def __init__(self, width: int, kernel_size: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(width, width, kernel_size, padding=kernel_size // 2, groups=width)
        self.norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, 2 * width)
        self.contract = nn.Linear(2 * width, width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Refine frames.

        Args:
            x: [B, T, width].
            mask: [B, T] bool.

        Returns:
            [B, T, width], zero at padding.
        """
        valid = mask.unsqueeze(-1)
        mixed = self.conv((x * valid).transpose(1, 2)).transpose(1, 2)
        update = self.contract(functional.gelu(self.expand(self.norm(mixed))))
        return (x + update) * valid


class FrameEncoder(nn.Module):
    """Map from fast to slow frames: a strided convolution, then blocks."""

    def __init__(self, config: FrameCodecConfig) -> None:
        super().__init__()
        self.stride = config.stride
        self.down = nn.Conv1d(config.input_dim, config.width, config.stride, config.stride)
        self.blocks = nn.ModuleList(
            ConvBlock(config.width, config.kernel_size) for _ in range(config.num_blocks)
        )
        self.out = nn.Linear(config.width, config.output_dim)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return slow frames and their mask.

        Args:
            x: [B, T, input_dim].
            mask: [B, T] bool.

        Returns:
            [B, T', output_dim], zero at padding, and [B, T'] bool, with T' = ceil(T / stride).
        """
        missing = -x.shape[1] % self.stride
        padded = functional.pad(x * mask.unsqueeze(-1), (0, 0, 0, missing))
        slow_mask = mask[:, :: self.stride]
        hidden = self.down(padded.transpose(1, 2)).transpose(1, 2)  # [B, T', width]
        for block in self.blocks:
            hidden = block(hidden, slow_mask)
        return self.out(hidden) * slow_mask.unsqueeze(-1), slow_mask


class FrameDecoder(nn.Module):
    """Map from slow to fast frames: blocks, then a strided transposed convolution."""

    def __init__(self, config: FrameCodecConfig) -> None:
        super().__init__()
        self.into = nn.Linear(config.output_dim, config.width)
        self.blocks = nn.ModuleList(
            ConvBlock(config.width, config.kernel_size) for _ in range(config.num_blocks)
        )
        self.up = nn.ConvTranspose1d(
            config.width, config.input_dim, config.stride, stride=config.stride
        )

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return fast frames.

        Args:
            x: [B, T', output_dim].
            mask: [B, T'] bool.

        Returns:
            [B, T' * stride, input_dim]; meaningless at padding.
        """
        hidden = self.into(x)
        for block in self.blocks:
            hidden = block(hidden, mask)
        return self.up(hidden.transpose(1, 2)).transpose(1, 2)
