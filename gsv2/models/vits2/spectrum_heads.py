"""Heads of the inverse-STFT generator: frames -> spectra, or filters of a source and of noise."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gsv2.audio.full_precision import full_precision

_MAX_LOG_MAGNITUDE = math.log(100.0)
"""Logarithm at which magnitudes are cut (Vocos, section 3.3): an exponential must not run away."""
_NOISE_FRAMES = 512
"""Spectra of noise after which speech outside training has the same noise again."""


class SpectrumHead(nn.Module):
    """Frames -> complex spectra, in fp32 whatever the blocks computed in.

    Its weights are its own, not a linear layer's, whose dtype a policy would decide: in bf16 a
    phase of some turns is wrong by tenths of a radian.
    """

    def __init__(self, dim: int, n_fft: int, spectra_per_frame: int = 1) -> None:
        super().__init__()
        self.spectra_per_frame = spectra_per_frame
        size = spectra_per_frame * (n_fft + 2)
        self.weight = nn.Parameter(torch.randn(size, dim) * dim**-0.5)
        self.bias = nn.Parameter(torch.zeros(size))

    def forward(self, x: Tensor) -> Tensor:
        """Return spectra (Vocos, equation 2).

        Args:
            x: [B, T, dim].

        Returns:
            [B, T * spectra_per_frame, n_fft / 2 + 1] complex64.
        """
        with full_precision(x.device):
            return self.spectra(self.project(x))

    def spectra(self, projected: Tensor) -> Tensor:
        """Return the spectra of what `project` returns."""
        with full_precision(projected.device):
            projected = projected.unflatten(-1, (self.spectra_per_frame, -1)).flatten(1, 2)
            log_magnitude, phase = projected.chunk(2, dim=-1)
            magnitude = log_magnitude.clamp(max=_MAX_LOG_MAGNITUDE).exp()
            return torch.complex(magnitude * phase.cos(), magnitude * phase.sin())

    def project(self, x: Tensor) -> Tensor:
        """Return [B, T, spectra_per_frame * (n_fft + 2)] of x [B, T, dim]."""
        return F.linear(x.float(), self.weight.float(), self.bias.float())


class FilterHead(nn.Module):
    """Frames -> filters of a harmonic source and of noise, in fp32 as `SpectrumHead`."""

    noise: Tensor

    def __init__(self, dim: int, n_fft: int, spectra_per_frame: int = 1) -> None:
        super().__init__()
        self.spectra_per_frame = spectra_per_frame
        num_bins = n_fft // 2 + 1
        size = spectra_per_frame * 3 * num_bins
        self.weight = nn.Parameter(torch.randn(size, dim) * dim**-0.5)
        self.bias = nn.Parameter(torch.zeros(size))
        with torch.no_grad():
            parts = self.weight.view(spectra_per_frame, 3, num_bins, dim)
            parts[:, 1] = 0  # no phase but the source's
        generator = torch.Generator().manual_seed(0)
        noise = torch.randn(2, _NOISE_FRAMES, num_bins, generator=generator) * 0.5**0.5
        self.register_buffer("noise", noise, persistent=False)  # real: a policy may cast it

    def forward(self, x: Tensor, source: Tensor, first: int = 0) -> Tensor:
        """Return spectra of frames [B, T, dim]; the other arguments are those of `filter`."""
        with full_precision(x.device):
            return self.filter(self.project(x), source, first)

    def filter(self, projected: Tensor, source: Tensor, first: int = 0) -> Tensor:
        """Return spectra.

        Args:
            projected: what `project` returns.
            source: [B, T * spectra_per_frame, n_fft / 2 + 1] complex64.
            first: place of the first of them among all spectra of their wave.

        Returns:
            [B, T * spectra_per_frame, n_fft / 2 + 1] complex64.
        """
        with full_precision(projected.device):
            projected = projected.unflatten(-1, (self.spectra_per_frame, -1)).flatten(1, 2)
            log_harmonic, phase, log_noise = projected.chunk(3, dim=-1)
            harmonic = log_harmonic.clamp(max=_MAX_LOG_MAGNITUDE).exp()
            filtered = torch.complex(harmonic * phase.cos(), harmonic * phase.sin()) * source
            breath = log_noise.clamp(max=_MAX_LOG_MAGNITUDE).exp() * self._noise(source, first)
            return filtered + breath

    def project(self, x: Tensor) -> Tensor:
        """Return [B, T, spectra_per_frame * 3 * (n_fft / 2 + 1)] of x [B, T, dim]."""
        return F.linear(x.float(), self.weight.float(), self.bias.float())

    def _noise(self, source: Tensor, first: int) -> Tensor:
        """Return complex noise of the shape of `source`; outside training always the same."""
        if self.training:
            return torch.randn_like(source)
        places = (first + torch.arange(source.shape[1], device=source.device)) % _NOISE_FRAMES
        return torch.complex(*self.noise[:, places].float())
