"""HiFi-GAN's generator (arXiv 2010.05646, section 2.2): latent frames -> waveform.

Conditioned on a style at its input, as in VITS. With a mask it writes zeros into the padding
before every convolution, so that the samples of a clip do not depend on its batch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from gsv2.models.vits2.istft_generator import ISTFTConfig, ISTFTGenerator
from gsv2.nn.recompute import run_block

_EDGE_KERNEL = 7
"""Kernel size of the first and of the last convolution."""
_SLOPE = 0.1
"""Slope of the leaky rectifiers below 0."""


@dataclass(frozen=True, kw_only=True)
class GeneratorConfig:
    """Upsampling stages, each followed by residual blocks of several kernel sizes."""

    kind: Literal["hifigan", "istft"] = "hifigan"
    """`istft`: the generator of `gsv2.models.vits2.istft_generator`, whose section is `istft`; the
    others here are HiFi-GAN's."""
    istft: ISTFTConfig = field(default_factory=ISTFTConfig)
    """Sizes of the inverse-STFT generator."""
    channels: int = 512
    """Channels before the first stage."""
    stage_channels: tuple[int, ...] = (256, 128, 64, 32, 16)
    """Channels of each stage."""
    upsample_rates: tuple[int, ...] = (10, 8, 2, 2, 2)
    """Factor by which each stage raises the rate; their product is the hop length."""
    upsample_kernels: tuple[int, ...] = (16, 16, 8, 2, 2)
    """Kernel sizes of the transposed convolutions; each at least its rate, with an even
    difference."""
    block_kernels: tuple[int, ...] = (3, 7, 11)
    """Kernel size of each residual block of a stage; their outputs are averaged."""
    block_dilations: tuple[int, ...] = (1, 3, 5)
    """Dilation of each layer of a residual block."""

    def __post_init__(self) -> None:
        """Check what makes T frames T * hop_length samples."""
        if self.kind not in ("hifigan", "istft"):  # component files are not checked for types
            raise ValueError(f"generator.kind must be hifigan or istft, but is {self.kind!r}")
        pairs = list(zip(self.upsample_rates, self.upsample_kernels, strict=False))
        if len(self.upsample_rates) != len(self.upsample_kernels) or any(
            kernel < rate or (kernel - rate) % 2 for rate, kernel in pairs
        ):
            raise ValueError(
                "generator: each upsample kernel must exceed its rate by an even number, but "
                f"rates are {list(self.upsample_rates)}, kernels {list(self.upsample_kernels)}"
            )
        if len(self.stage_channels) != len(self.upsample_rates):
            raise ValueError(
                "generator: stage_channels must have one entry a stage "
                f"({len(self.upsample_rates)}), but are {list(self.stage_channels)}"
            )

    @property
    def hop_length(self) -> int:
        """Samples made of one frame."""
        if self.kind == "istft":
            return self.istft.hop_length
        return math.prod(self.upsample_rates)


class ResidualBlock(nn.Module):
    """Pairs of a dilated and a plain convolution, each pair added to its input."""

    def __init__(self, channels: int, kernel_size: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        half = kernel_size // 2
        self.dilated = nn.ModuleList(
            weight_norm(nn.Conv1d(channels, channels, kernel_size, dilation=d, padding=d * half))
            for d in dilations
        )
        self.plain = nn.ModuleList(
            weight_norm(nn.Conv1d(channels, channels, kernel_size, padding=half)) for _ in dilations
        )

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Run the block.

        Args:
            x: [B, C, N].
            mask: [B, 1, N] or None = all valid.

        Returns:
            [B, C, N].
        """
        for dilated, plain in zip(self.dilated, self.plain, strict=True):
            inner = dilated(_valid(functional.leaky_relu(x, _SLOPE), mask))
            x = x + plain(_valid(functional.leaky_relu(inner, _SLOPE), mask))
        return x


class Generator(nn.Module):
    """Latent frames -> waveform."""

    def __init__(self, latent_channels: int, config: GeneratorConfig, style_dim: int) -> None:
        super().__init__()
        self.config = config
        C = config.channels
        edge = _EDGE_KERNEL // 2
        self.input = nn.Conv1d(latent_channels, C, _EDGE_KERNEL, padding=edge)
        self.style = nn.Linear(style_dim, C)
        self.upsamplers = nn.ModuleList()
        self.stages = nn.ModuleList()
        for rate, kernel, narrow in zip(
            config.upsample_rates, config.upsample_kernels, config.stage_channels, strict=True
        ):
            upsampler = nn.ConvTranspose1d(
                C, narrow, kernel, stride=rate, padding=(kernel - rate) // 2
            )
            nn.init.normal_(upsampler.weight, std=(2 * rate / (C * kernel)) ** 0.5)
            self.upsamplers.append(weight_norm(upsampler, dim=1))
            blocks = [
                ResidualBlock(narrow, size, config.block_dilations) for size in config.block_kernels
            ]
            self.stages.append(nn.ModuleList(blocks))
            C = narrow
        self.output = weight_norm(nn.Conv1d(C, 1, _EDGE_KERNEL, padding=edge, bias=False))

    @property
    def reach_frames(self) -> int:
        """Frames to each side beyond which nothing is heard in the samples of a frame."""
        config, reach = self.config, _EDGE_KERNEL // 2  # in samples of a stage, from the last on
        for rate, kernel in zip(
            reversed(config.upsample_rates), reversed(config.upsample_kernels), strict=True
        ):
            reach += max(
                sum((dilation + 1) * (size // 2) for dilation in config.block_dilations)
                for size in config.block_kernels
            )
            reach = -(-(reach + (kernel + rate) // 2) // rate)
        return reach + _EDGE_KERNEL // 2

    def forward(self, z: Tensor, style: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the waveform.

        Args:
            z: [B, latent_channels, T], 0 at padding.
            style: [B, style_dim].
            mask: [B, T], or None when no item is padded.

        Returns:
            [B, 1, T * hop_length] float32 in -1..1; at padding, undefined.
        """
        valid = None if mask is None else mask.unsqueeze(1)
        x = self.input(z) + self.style(style).unsqueeze(-1)
        for rate, upsampler, stage in zip(
            self.config.upsample_rates, self.upsamplers, self.stages, strict=True
        ):
            assert isinstance(stage, nn.ModuleList)
            x = upsampler(_valid(functional.leaky_relu(x, _SLOPE), valid))
            valid = None if valid is None else valid.repeat_interleave(rate, dim=-1)
            outputs = [run_block(block, x, valid) for block in stage]
            x = torch.stack(outputs).mean(dim=0)
        wave = self.output(_valid(functional.leaky_relu(x, _SLOPE), valid))
        return torch.tanh(wave.float())


def _valid(x: Tensor, mask: Tensor | None) -> Tensor:
    """Put zeros at padding."""
    return x if mask is None else x * mask


def make_generator(
    latent_channels: int, config: GeneratorConfig, style_dim: int, sample_rate: int
) -> Generator | ISTFTGenerator:
    """Return the untrained generator of a kind."""
    if config.kind == "istft":
        return ISTFTGenerator(latent_channels, config.istft, style_dim, sample_rate)
    return Generator(latent_channels, config, style_dim)
