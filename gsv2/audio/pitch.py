"""Fundamental frequency of speech by YIN (de Cheveigné and Kawahara, JASA 111, 2002).

Steps 1 to 5 of the paper: difference function, its cumulative mean, an absolute threshold and
parabolic interpolation. A frame without a dip below the threshold has no pitch.
"""

from __future__ import annotations

import numpy as np
import torch
import torchaudio
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

LOWEST_HZ = 60.0
HIGHEST_HZ = 500.0
_RATE_HZ = 8000
"""Rate that is enough for these pitches."""
_THRESHOLD = 0.15
"""Share of aperiodic power below which a frame is voiced; the paper's is 0.1 for clean voices."""
_FLOOR_DB = -40.0
"""Level of a frame below the clip's loudest one from which on it is silence."""
_HOP_SEC = 0.02
_LONGEST = -(-_RATE_HZ // int(LOWEST_HZ))
_SHORTEST = int(_RATE_HZ / HIGHEST_HZ)


@torch.no_grad()
def track_pitch(waves: Tensor, sample_rate: int, hop_length: int) -> Tensor:
    """Return the fundamental frequency of each frame.

    Args:
        waves: [B, N] float32.
        sample_rate: samples a second; resampled to 8000.
        hop_length: samples from one frame to the next; frame t lies about the middle of hop t.

    Returns:
        [B, N // hop_length] float32 in Hz, 0 where there is none.
    """
    num_frames = waves.shape[-1] // hop_length
    if num_frames == 0:
        return waves.new_zeros(len(waves), 0)
    slow = torchaudio.functional.resample(waves.float(), sample_rate, _RATE_HZ)
    size = 2 * _LONGEST  # window and the largest lag beside it
    centres = (torch.arange(num_frames, device=waves.device) + 0.5) * hop_length
    # The wave is padded by half of `size`, so that a frame starts where its centre was.
    starts = (centres * (_RATE_HZ / sample_rate)).round().long()
    index = starts[:, None] + torch.arange(size, device=waves.device)
    padded = F.pad(slow, (_LONGEST, size))
    frames = padded[:, index]  # [B, T, size]
    power = frames.square().mean(dim=2)
    is_loud = power > power.amax(dim=1, keepdim=True) * 10 ** (_FLOOR_DB / 10)
    curves = _normalised_difference(frames)  # [B, T, lags]
    return torch.where(is_loud, _first_dip(curves), 0.0)


def median_pitch(wave: NDArray[np.float32], sample_rate: int, min_frames: int = 5) -> float | None:
    """Return the median fundamental frequency of the voiced frames of [N], in Hz.

    None if fewer than `min_frames` frames of 20 ms are voiced.
    """
    hop_length = round(_HOP_SEC * sample_rate)
    track = track_pitch(torch.from_numpy(wave)[None], sample_rate, hop_length)[0].numpy()
    voiced = track[track > 0]
    return float(np.median(voiced)) if len(voiced) >= min_frames else None


def _normalised_difference(frames: Tensor) -> Tensor:
    """Return the cumulative mean normalised difference of lags 0.._LONGEST (equations 6, 8)."""
    frames = frames.double()
    window = frames.shape[-1] - _LONGEST
    head = frames[..., :window]
    squares = F.pad(frames.square(), (1, 0)).cumsum(dim=-1)
    energy = squares[..., window:] - squares[..., : _LONGEST + 1]  # of the window at each lag
    size = 2 * frames.shape[-1]
    spectrum = torch.fft.rfft(head, size).conj() * torch.fft.rfft(frames, size)
    product = torch.fft.irfft(spectrum, size)[..., : _LONGEST + 1]
    difference = (energy[..., :1] + energy - 2 * product).clamp(min=0)
    lags = torch.arange(1, _LONGEST + 1, device=frames.device)
    mean = difference[..., 1:].cumsum(dim=-1) / lags
    normal = torch.where(mean > 0, difference[..., 1:] / mean.clamp(min=1e-30), 1.0)
    return F.pad(normal, (1, 0), value=1.0)


def _first_dip(curves: Tensor) -> Tensor:
    """Return the pitch in Hz of the first dip below the threshold, or 0, of curves [..., lags]."""
    lags = torch.arange(curves.shape[-1], device=curves.device)
    may_be = (lags >= _SHORTEST) & (lags < _LONGEST)
    below = (curves < _THRESHOLD) & may_be
    first = below.byte().argmax(dim=-1, keepdim=True)
    rises = F.pad(curves[..., 1:] >= curves[..., :-1], (0, 1), value=True)
    is_bottom = rises & (lags >= first)
    lag = is_bottom.byte().argmax(dim=-1, keepdim=True).clamp(1, len(lags) - 2)
    before, here, after = (curves.gather(-1, lag + shift) for shift in (-1, 0, 1))
    curvature = before - 2 * here + after
    vertex = torch.where(curvature > 0, 0.5 * (before - after) / curvature.clamp(min=1e-30), 0.0)
    pitch = (_RATE_HZ / (lag + vertex)).squeeze(-1)
    return torch.where(below.any(dim=-1), pitch, 0.0).float()
