"""Harmonic source: a pitch contour -> a wave of all its harmonics, and that wave's spectra.

Phases that belong together are what a generator learns last, and without them speech is a whisper.
A source has them from the start, and the generator filters it (NSF, arXiv:1904.12088; DDSP,
arXiv:2001.04643; before an inverse STFT in StyleTTS 2, arXiv:2306.07691).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gsv2.audio.pitch import HIGHEST_HZ, LOWEST_HZ

_START_HZ = 150.0
"""Pitch that an untrained head says."""
_MIN_SINE = 1e-4
"""Sine of half a phase below which all harmonics are at their peak."""


class PitchContour(NamedTuple):
    """Pitch of frames, as a head says it."""

    log_hz: Tensor
    """[B, T]."""
    voiced: Tensor
    """[B, T] logits of there being one."""

    def hz(self) -> Tensor:
        """Return the pitch [B, T] in Hz, 0 where there is none."""
        hz = self.log_hz.detach().float().exp().clamp(LOWEST_HZ, HIGHEST_HZ)
        return torch.where(self.voiced > 0, hz, 0.0)


class PitchHead(nn.Module):
    """Says the pitch of frames."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.project = nn.Linear(dim, 2)
        nn.init.zeros_(self.project.weight)
        with torch.no_grad():
            self.project.bias.copy_(torch.tensor([math.log(_START_HZ), 0.0]))

    def forward(self, x: Tensor) -> PitchContour:
        """Return the contour of frames [B, T, dim]."""
        return PitchContour(*self.project(x).float().unbind(-1))


@torch.no_grad()
def harmonic_wave(
    hz: Tensor, hop_length: int, sample_rate: int, mask: Tensor | None = None
) -> Tensor:
    """Return a wave of power 1 with all harmonics below the Nyquist frequency, equally loud.

    Args:
        hz: [B, T] pitch of each frame, 0 where there is none and the wave is silent.
        hop_length: samples of a frame.
        sample_rate: samples a second.
        mask: [B, T], or None when no item is padded.

    Returns:
        [B, T * hop_length] float32, 0 at padding.
    """
    if mask is not None:
        hz = _hold(hz, mask)
    loudness = _upsample((hz > 0).float(), hop_length)
    f0 = _upsample(_fill(hz), hop_length)
    cycles = (f0.double() / sample_rate).cumsum(dim=1)
    half = (math.pi * (cycles - cycles.round())).float()  # half the phase, in -pi/2..pi/2
    count = (sample_rate / 2 / f0).floor().clamp(min=1)
    sine = half.sin()
    peak = sine.abs() < _MIN_SINE
    # Dirichlet's kernel: the sum of cos(k * phase) over k = 1..count.
    total = ((2 * count + 1) * half).sin() / (2 * torch.where(peak, 1.0, sine)) - 0.5
    wave = loudness * torch.where(peak, count, total) * (2 / count).sqrt()
    return wave if mask is None else wave * mask.repeat_interleave(hop_length, dim=1)


@torch.no_grad()
def frame_spectra(wave: Tensor, window: Tensor, hop_length: int) -> Tensor:
    """Return the spectra of frames about the middle of each hop; noise of power 1 has power 1.

    The frames are those that `gsv2.audio.inverse_stft` puts together.

    Args:
        wave: [B, T * hop_length].
        window: [n_fft].
        hop_length: samples from one frame to the next.

    Returns:
        [B, T, n_fft / 2 + 1] complex64.
    """
    margin = (len(window) - hop_length) // 2
    padded = F.pad(wave, (margin, len(window) - hop_length - margin))
    frames = padded.unfold(1, len(window), hop_length) * window
    return torch.fft.rfft(frames) / window.square().sum().sqrt()


def move_median(hz: Tensor, median_hz: Tensor) -> Tensor:
    """Return pitches whose medians are the given ones, their intervals kept.

    Args:
        hz: [B, T], 0 where there is none.
        median_hz: [B]; 0 = leave the item as it is.
    """
    own = torch.where(hz > 0, hz, torch.nan).nanmedian(dim=1).values
    factor = torch.where((median_hz > 0) & ~own.isnan(), median_hz / own, 1.0).unsqueeze(1)
    return torch.where(hz > 0, (hz * factor).clamp(LOWEST_HZ, HIGHEST_HZ), 0.0)


def _hold(frames: Tensor, mask: Tensor) -> Tensor:
    """Put the last valid value [B, T] at padding, so that interpolation ends as without it."""
    last = mask.sum(dim=1, keepdim=True).clamp(min=1) - 1
    places = torch.arange(frames.shape[1], device=frames.device)
    return frames.gather(1, torch.minimum(places, last))


def _fill(hz: Tensor) -> Tensor:
    """Give frames without a pitch that of the last one before them, or else `_START_HZ`."""
    places = torch.arange(hz.shape[1], device=hz.device).expand_as(hz)
    last = torch.where(hz > 0, places, -1).cummax(dim=1).values
    return torch.where(last >= 0, hz.gather(1, last.clamp(min=0)), _START_HZ)


def _upsample(frames: Tensor, hop_length: int) -> Tensor:
    """Interpolate [B, T] between the middles of hops, to [B, T * hop_length]."""
    return F.interpolate(
        frames.unsqueeze(1), scale_factor=float(hop_length), mode="linear", align_corners=False
    ).squeeze(1)
