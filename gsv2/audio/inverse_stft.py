"""Inverse short-time Fourier transform: as many hops of samples as frames, padding left out.

`torch.istft` gives a hop less than frames and knows no mask.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_MIN_ENVELOPE = 1e-3
"""Smallest sum of squared windows that samples are divided by; less lies at padding only."""


def inverse_stft(
    spectra: Tensor, window: Tensor, hop_length: int, mask: Tensor | None = None
) -> Tensor:
    """Return the samples whose short-time spectra come nearest to the given ones.

    Windowed frames are added where they overlap and divided by the sum of the squared windows
    (Griffin and Lim, 1984, equation 6), as `torch.istft` does. The wave begins and ends half a
    window less half a hop inside the frames, so that each frame stands for one hop.

    Args:
        spectra: [B, T, n_fft / 2 + 1] complex64.
        window: [n_fft] float32.
        hop_length: samples from one frame to the next.
        mask: [B, T], or None = all frames are valid; the others add nothing.

    Returns:
        [B, T * hop_length] float32; at padding, undefined.
    """
    (n_fft,), T = window.shape, spectra.shape[1]
    frames = torch.fft.irfft(spectra, n=n_fft) * window  # [B, T, n_fft]
    squares = window.square().expand(1, T, n_fft)
    if mask is not None:
        valid = mask.unsqueeze(-1)
        frames, squares = frames * valid, squares * valid
    wave = overlap_add(frames, hop_length)
    envelope = overlap_add(squares, hop_length).clamp(min=_MIN_ENVELOPE)
    start = (n_fft - hop_length) // 2
    return (wave / envelope)[:, start : start + T * hop_length]


def overlap_add(frames: Tensor, hop_length: int) -> Tensor:
    """Return the sum of frames that begin `hop_length` samples apart.

    Args:
        frames: [B, T, size].
        hop_length: samples from one frame to the next.

    Returns:
        [B, N], N at least (T - 1) * hop_length + size; zeros follow the last frame.
    """
    B, T, size = frames.shape
    num_hops = -(-size // hop_length)
    hops = functional.pad(frames, (0, num_hops * hop_length - size))
    hops = hops.view(B, T, num_hops, hop_length)
    # One shifted addition for each hop of a frame: all frames at once.
    parts = [
        functional.pad(hops[:, :, index], (0, 0, index, num_hops - 1 - index))
        for index in range(num_hops)
    ]
    return torch.stack(parts).sum(dim=0).flatten(1)
