"""Vocos' generator (arXiv 2306.00814): latent frames -> spectrum of each frame -> waveform.

ConvNeXt blocks keep the frame rate; an inverse short-time Fourier transform makes all of a hop's
samples at once, where HiFi-GAN upsamples. Conditioned on a style at its input, as in VITS. We
differ in that padded frames add neither samples nor window, so that the samples of a clip do not
depend on its batch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from gsv2.audio.inverse_stft import inverse_stft
from gsv2.nn.recompute import run_block

_MAX_LOG_MAGNITUDE = math.log(100.0)
"""Logarithm at which magnitudes are cut (Vocos, section 3.3): an exponential must not run away."""


@dataclass(frozen=True, kw_only=True)
class ISTFTConfig:
    """ConvNeXt blocks and the transform behind them."""

    dim: int = 512
    """Channels of the blocks."""
    num_blocks: int = 8
    """Number of ConvNeXt blocks."""
    kernel_size: int = 7
    """Kernel size of the first convolution and of the depthwise ones, in frames; odd."""
    expansion: int = 3
    """Width inside a block, as a multiple of `dim`."""
    n_fft: int = 2048
    """Samples of one frame's window."""
    hop_length: int = 640
    """Samples from one frame to the next."""

    def __post_init__(self) -> None:
        """Check what makes T frames T * hop_length samples."""
        for name in ("dim", "num_blocks", "expansion"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"generator.istft.{name} must be at least 1, but is {getattr(self, name)}"
                )
        if self.kernel_size < 1 or self.kernel_size % 2 == 0:
            raise ValueError(
                f"generator.istft.kernel_size must be odd and above 0, but is {self.kernel_size}"
            )
        if self.n_fft % 2 or not 1 <= self.hop_length <= self.n_fft // 2:
            raise ValueError(
                "generator.istft.n_fft must be even and at least twice hop_length "
                f"({self.hop_length}), but is {self.n_fft}"
            )


class ConvNeXtBlock(nn.Module):
    """Depthwise convolution and a feed-forward layer around a residual (arXiv 2201.03545)."""

    def __init__(self, config: ISTFTConfig) -> None:
        super().__init__()
        C, kernel = config.dim, config.kernel_size
        self.conv = nn.Conv1d(C, C, kernel, padding=kernel // 2, groups=C)
        self.norm = nn.LayerNorm(C)
        self.expand = nn.Linear(C, config.expansion * C)
        self.contract = nn.Linear(config.expansion * C, C)
        self.scale = nn.Parameter(torch.full((C,), 1 / config.num_blocks))

    def forward(self, x: Tensor, valid: Tensor | None) -> Tensor:
        """Refine frames.

        Args:
            x: [B, T, dim].
            valid: [B, T, 1] bool, or None = all valid.

        Returns:
            [B, T, dim]; at padding, undefined.
        """
        mixed = self.conv(_valid(x, valid).transpose(1, 2)).transpose(1, 2)
        update = self.contract(functional.gelu(self.expand(self.norm(mixed))))
        return x + self.scale * update


class SpectrumHead(nn.Module):
    """Frames -> complex spectra, in fp32 whatever the blocks computed in.

    Its weights are its own, not a linear layer's, whose dtype a policy would decide: in bf16 a
    phase of some turns is wrong by tenths of a radian.
    """

    def __init__(self, config: ISTFTConfig) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(config.n_fft + 2, config.dim) * config.dim**-0.5)
        self.bias = nn.Parameter(torch.zeros(config.n_fft + 2))

    def forward(self, x: Tensor) -> Tensor:
        """Return spectra (Vocos, equation 2).

        Args:
            x: [B, T, dim].

        Returns:
            [B, T, n_fft / 2 + 1] complex64.
        """
        with torch.autocast(x.device.type, enabled=False):
            projected = functional.linear(x.float(), self.weight.float(), self.bias.float())
            log_magnitude, phase = projected.chunk(2, dim=-1)
            magnitude = log_magnitude.clamp(max=_MAX_LOG_MAGNITUDE).exp()
            return torch.complex(magnitude * phase.cos(), magnitude * phase.sin())


class ISTFTGenerator(nn.Module):
    """Latent frames -> waveform."""

    window: Tensor

    def __init__(self, latent_channels: int, config: ISTFTConfig, style_dim: int) -> None:
        super().__init__()
        self.config = config
        C, kernel = config.dim, config.kernel_size
        self.input = nn.Conv1d(latent_channels, C, kernel, padding=kernel // 2)
        self.style = nn.Linear(style_dim, C)
        self.input_norm = nn.LayerNorm(C)
        self.blocks = nn.ModuleList(ConvNeXtBlock(config) for _ in range(config.num_blocks))
        self.output_norm = nn.LayerNorm(C)
        self.head = SpectrumHead(config)
        self.register_buffer("window", torch.hann_window(config.n_fft), persistent=False)

    def forward(self, z: Tensor, style: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the waveform.

        Args:
            z: [B, latent_channels, T], 0 at padding.
            style: [B, style_dim].
            mask: [B, T], or None when no item is padded.

        Returns:
            [B, 1, T * hop_length] float32; not bounded; at padding, undefined.
        """
        valid = None if mask is None else mask.unsqueeze(-1)
        x = self.input(z).transpose(1, 2) + self.style(style).unsqueeze(1)  # [B, T, dim]
        x = self.input_norm(x)
        for block in self.blocks:
            x = run_block(block, x, valid)
        spectra = self.head(self.output_norm(x))
        return inverse_stft(spectra, self.window, self.config.hop_length, mask).unsqueeze(1)


def _valid(x: Tensor, valid: Tensor | None) -> Tensor:
    """Put zeros at padding."""
    return x if valid is None else x * valid
