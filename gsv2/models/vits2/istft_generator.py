"""Vocos' generator (arXiv 2306.00814): latent frames -> spectra of each frame -> waveform.

ConvNeXt blocks keep the frame rate; an inverse short-time Fourier transform makes all of a hop's
samples at once, where HiFi-GAN upsamples. Conditioned on a style at its input, as in VITS. We
differ in that padded frames add neither samples nor window, so that the samples of a clip do not
depend on its batch, and with `source: harmonic` the spectra are those of a harmonic source and of
noise, filtered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from gsv2.audio.inverse_stft import inverse_stft
from gsv2.models.vits2.harmonic_source import (
    PitchContour,
    PitchHead,
    frame_spectra,
    harmonic_wave,
    median_factor,
    move_pitch,
    own_median,
)
from gsv2.models.vits2.spectrum_heads import FilterHead, SpectrumHead
from gsv2.nn.recompute import run_block


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
    """Samples of one spectrum's window."""
    hop_length: int = 640
    """Samples from one frame to the next."""
    spectra_per_frame: int = 1
    """Spectra that a frame becomes, evenly spaced: more of them, with a shorter window, say when a
    plosive bursts within it, at no cost in the blocks."""
    source: Literal["none", "harmonic"] = "none"
    """What is filtered: nothing, so that magnitudes and phases are the network's own, or harmonics
    of a pitch that the network says, and noise (`gsv2.models.vits2.harmonic_source`)."""

    def __post_init__(self) -> None:
        """Check what makes T frames T * hop_length samples."""
        for name in ("dim", "num_blocks", "expansion", "spectra_per_frame"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"generator.istft.{name} must be at least 1, but is {getattr(self, name)}"
                )
        if self.kernel_size < 1 or self.kernel_size % 2 == 0:
            raise ValueError(
                f"generator.istft.kernel_size must be odd and above 0, but is {self.kernel_size}"
            )
        if self.source not in ("none", "harmonic"):  # component files are not checked for types
            raise ValueError(
                f"generator.istft.source must be none or harmonic, but is {self.source!r}"
            )
        if self.hop_length % self.spectra_per_frame:
            raise ValueError(
                "generator.istft.spectra_per_frame must divide hop_length "
                f"({self.hop_length}), but is {self.spectra_per_frame}"
            )
        if self.n_fft % 2 or not 1 <= self.spectrum_hop <= self.n_fft // 2:
            raise ValueError(
                "generator.istft.n_fft must be even and at least twice hop_length / "
                f"spectra_per_frame ({self.spectrum_hop}), but is {self.n_fft}"
            )

    @property
    def spectrum_hop(self) -> int:
        """Samples from one spectrum to the next."""
        return self.hop_length // self.spectra_per_frame


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
        return x + self.update(self.conv(_valid(x, valid).transpose(1, 2)).transpose(1, 2))

    def update(self, mixed: Tensor) -> Tensor:
        """Return what is added to frames, after the convolution, [B, T, dim] each."""
        return self.scale * self.contract(functional.gelu(self.expand(self.norm(mixed))))


class ISTFTGenerator(nn.Module):
    """Latent frames -> waveform."""

    window: Tensor

    def __init__(
        self, latent_channels: int, config: ISTFTConfig, style_dim: int, sample_rate: int
    ) -> None:
        super().__init__()
        self.sample_rate = sample_rate
        self.config = config
        C, kernel = config.dim, config.kernel_size
        self.input = nn.Conv1d(latent_channels, C, kernel, padding=kernel // 2)
        self.style = nn.Linear(style_dim, C)
        self.input_norm = nn.LayerNorm(C)
        self.blocks = nn.ModuleList(ConvNeXtBlock(config) for _ in range(config.num_blocks))
        self.output_norm = nn.LayerNorm(C)
        self.has_pitch = config.source == "harmonic"
        if self.has_pitch:
            self.pitch = PitchHead(C)
        head = FilterHead if self.has_pitch else SpectrumHead
        self.head: FilterHead | SpectrumHead = head(C, config.n_fft, config.spectra_per_frame)
        self.register_buffer("window", torch.hann_window(config.n_fft), persistent=False)

    @property
    def reach_frames(self) -> int:
        """Frames to each side beyond which nothing moves what the head reads of a frame."""
        return (self.config.kernel_size // 2) * (self.config.num_blocks + 1)

    def forward(self, z: Tensor, style: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the waveform.

        Args:
            z: [B, latent_channels, T], 0 at padding.
            style: [B, style_dim].
            mask: [B, T], or None when no item is padded.

        Returns:
            [B, 1, T * hop_length] float32; not bounded; at padding, undefined.
        """
        return self.speak(z, style, mask)[0]

    def features(self, z: Tensor, style: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return what the head reads, [B, T, dim]; arguments as of `forward`."""
        valid = None if mask is None else mask.unsqueeze(-1)
        x = self.input(z).transpose(1, 2) + self.style(style).unsqueeze(1)
        x = self.input_norm(x)
        for block in self.blocks:
            x = run_block(block, x, valid)
        return self.output_norm(x)

    def speak(
        self,
        z: Tensor,
        style: Tensor,
        mask: Tensor | None = None,
        *,
        pitch: Tensor | None = None,
        median_hz: Tensor | None = None,
    ) -> tuple[Tensor, PitchContour | None]:
        """Return the waveform as `forward` does, and the pitch that the network says.

        Args:
            z: [B, latent_channels, T], 0 at padding.
            style: [B, style_dim].
            mask: [B, T], or None when no item is padded.
            pitch: [B, T] in Hz, 0 where there is none, to speak with in place of its own.
            median_hz: [B] median to which its own pitch is moved, 0 = left as it is.
        """
        x = self.features(z, style, mask)
        hop, contour = self.config.spectrum_hop, None
        if isinstance(self.head, FilterHead):
            contour = self.pitch(x)
            hz = contour.hz() if pitch is None else pitch
            hz = hz if mask is None else hz * mask
            if median_hz is not None:
                hz = move_pitch(hz, median_factor(own_median(hz), median_hz))
            source = harmonic_wave(hz, self.config.hop_length, self.sample_rate, mask)
            spectra = self.head(x, frame_spectra(source, self.window, hop))
        else:
            spectra = self.head(x)
        if mask is not None:
            mask = mask.repeat_interleave(self.config.spectra_per_frame, dim=1)
        return inverse_stft(spectra, self.window, hop, mask).unsqueeze(1), contour


def _valid(x: Tensor, valid: Tensor | None) -> Tensor:
    """Put zeros at padding."""
    return x if valid is None else x * valid
