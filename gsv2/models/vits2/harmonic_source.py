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
    wave = _add_harmonics(loudness, f0, (f0.double() / sample_rate).cumsum(dim=1), sample_rate)
    return wave if mask is None else wave * mask.repeat_interleave(hop_length, dim=1)


class HarmonicStream:
    """Harmonic wave of pitches that come piece by piece: that of `harmonic_wave` over all at once.

    Args:
        hop_length: samples of a frame.
        sample_rate: samples a second.
    """

    def __init__(self, hop_length: int, sample_rate: int) -> None:
        self._hop = hop_length
        self._sample_rate = sample_rate
        self._seen: Tensor | None = None  # [2, B, T]: voiced or not, and pitch without gaps
        self._is_begun = False
        self._cycles: Tensor | float = 0.0  # of the wave so far

    @torch.no_grad()
    def push(self, hz: Tensor, *, is_last: bool) -> Tensor:
        """Take the next pitches; return the samples of all frames but the last one, if any follow.

        Args:
            hz: [B, T] pitch of each frame, 0 where there is none; T may be 0.
            is_last: nothing comes after them.

        Returns:
            [B, N] float32.
        """
        frames = self._filled(hz)
        start = int(self._is_begun)  # the first of the frames is there to begin from
        stop = frames.shape[2] - (not is_last)
        if stop <= start:
            self._seen = frames
            return hz.new_zeros(len(hz), 0, dtype=torch.float32)
        place = slice(start * self._hop, stop * self._hop)
        loudness, f0 = (_upsample(part, self._hop)[:, place] for part in frames)
        cycles = (f0.double() / self._sample_rate).cumsum(dim=1) + self._cycles
        self._seen, self._is_begun = frames[:, :, stop - 1 :], True
        self._cycles = cycles[:, -1:]
        return _add_harmonics(loudness, f0, cycles, self._sample_rate)

    def _filled(self, hz: Tensor) -> Tensor:
        """Return frames that were seen and new ones, as `_seen` has them."""
        voiced = (hz > 0).float()
        if self._seen is None or self._seen.shape[2] == 0:
            return torch.stack([voiced, _fill(hz)])
        last = self._seen[1, :, -1:]
        filled = _fill(torch.cat([last, hz], dim=1))[:, 1:]
        return torch.cat([self._seen, torch.stack([voiced, filled])], dim=2)


def _add_harmonics(loudness: Tensor, f0: Tensor, cycles: Tensor, sample_rate: int) -> Tensor:
    """Return the sum of all harmonics, of power 1 at loudness 1, for samples [B, N]."""
    half = (math.pi * (cycles - cycles.round())).float()  # half the phase, in -pi/2..pi/2
    count = (sample_rate / 2 / f0).floor().clamp(min=1)
    sine = half.sin()
    peak = sine.abs() < _MIN_SINE
    # Dirichlet's kernel: the sum of cos(k * phase) over k = 1..count.
    total = ((2 * count + 1) * half).sin() / (2 * torch.where(peak, 1.0, sine)) - 0.5
    return loudness * torch.where(peak, count, total) * (2 / count).sqrt()


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
    padded = F.pad(wave, spectra_margins(window, hop_length))
    frames = padded.unfold(1, len(window), hop_length) * window
    return torch.fft.rfft(frames) / window.square().sum().sqrt()


class SpectraStream:
    """Spectra of a wave that comes piece by piece: those of `frame_spectra` over all at once.

    Args:
        window: [n_fft].
        hop_length: samples from one frame to the next.
    """

    def __init__(self, window: Tensor, hop_length: int) -> None:
        self._window = window
        self._hop = hop_length
        self._before, self._after = spectra_margins(window, hop_length)
        self._seen: Tensor | None = None

    def push(self, wave: Tensor, *, is_last: bool, multiple: int = 1) -> Tensor:
        """Take the next samples [B, N]; return the spectra [B, T, n_fft / 2 + 1] they complete.

        Args:
            is_last: nothing comes after them.
            multiple: T is a multiple of it.
        """
        if self._seen is None:
            wave = F.pad(wave, (self._before, 0))
        else:
            wave = torch.cat([self._seen, wave], dim=1)
        if is_last:
            wave = F.pad(wave, (0, self._after))
        size = len(self._window)
        T = max((wave.shape[1] - size) // self._hop + 1, 0) // multiple * multiple
        self._seen = wave[:, T * self._hop :]
        if T == 0:
            return wave.new_zeros(len(wave), 0, size // 2 + 1, dtype=torch.complex64)
        frames = wave.unfold(1, size, self._hop)[:, :T] * self._window
        return torch.fft.rfft(frames) / self._window.square().sum().sqrt()


def spectra_margins(window: Tensor, hop_length: int) -> tuple[int, int]:
    """Return the silence, in samples, that `frame_spectra` puts before and after a wave."""
    before = (len(window) - hop_length) // 2
    return before, len(window) - hop_length - before


def own_median(hz: Tensor) -> Tensor:
    """Return the median [B] in Hz of pitches [B, T], of those above 0; NaN where none is."""
    return torch.where(hz > 0, hz, torch.nan).nanmedian(dim=1).values


def median_factor(own_hz: Tensor, median_hz: Tensor) -> Tensor:
    """Return the factor [B] that moves one median to the other; 1 where one of them is not known.

    Args:
        own_hz: [B]; NaN or 0 = not known.
        median_hz: [B]; 0 = not known.
    """
    return torch.where((median_hz > 0) & (own_hz > 0), median_hz / own_hz, 1.0)


def move_pitch(hz: Tensor, factor: Tensor) -> Tensor:
    """Return pitches [B, T] times a factor [B], their intervals kept; 0 where there is none."""
    return torch.where(hz > 0, (hz * factor.unsqueeze(1)).clamp(LOWEST_HZ, HIGHEST_HZ), 0.0)


def _hold(frames: Tensor, mask: Tensor) -> Tensor:
    """Put the last valid value [B, T] at padding, so that interpolation ends as without it."""
    last = mask.sum(dim=1, keepdim=True).clamp(min=1) - 1
    places = torch.arange(frames.shape[1], device=frames.device)
    return frames.gather(1, torch.minimum(places, last))


def _fill(hz: Tensor) -> Tensor:
    """Give frames [B, T] without a pitch that of the last one before them, or `_START_HZ`."""
    places = torch.arange(hz.shape[1], device=hz.device).expand_as(hz)
    last = torch.where(hz > 0, places, -1).cummax(dim=1).values
    return torch.where(last >= 0, hz.gather(1, last.clamp(min=0)), _START_HZ)


def _upsample(frames: Tensor, hop_length: int) -> Tensor:
    """Interpolate [B, T] between the middles of hops, to [B, T * hop_length]."""
    return F.interpolate(
        frames.unsqueeze(1), scale_factor=float(hop_length), mode="linear", align_corners=False
    ).squeeze(1)
