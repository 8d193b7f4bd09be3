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


class InverseSTFTStream:
    """Samples of spectra that come piece by piece: those of `inverse_stft` over all at once.

    Args:
        window: [n_fft] float32.
        hop_length: samples from one frame to the next.
    """

    def __init__(self, window: Tensor, hop_length: int) -> None:
        self._window = window
        self._hop = hop_length
        self._dropped = (
            len(window) - hop_length
        ) // 2  # before the first hop, still to be left out
        self._pending: Tensor | None = None  # [2, B, n_fft - hop]: samples and sum of squares

    def push(self, spectra: Tensor, *, is_last: bool) -> Tensor:
        """Take the next spectra; return the samples that no later one reaches.

        Args:
            spectra: [B, T, n_fft / 2 + 1] complex64, T may be 0.
            is_last: nothing comes after them.

        Returns:
            [B, N] float32; all of them together are T * hop_length for all T.
        """
        B, T, _ = spectra.shape
        size, hop = len(self._window), self._hop
        sums = torch.zeros(2, B, T * hop + size - hop, device=spectra.device)
        if T > 0:
            frames = torch.fft.irfft(spectra, n=size) * self._window
            squares = self._window.square().expand(B, T, size)
            sums += overlap_add(torch.cat([frames, squares]), hop)[:, : sums.shape[2]].reshape(
                sums.shape
            )
        if self._pending is not None:
            sums[:, :, : size - hop] += self._pending
        self._pending = sums[:, :, T * hop :]
        stop = T * hop
        if is_last:
            stop += (size - hop) // 2
        wave, envelope = sums[:, :, :stop]
        start = min(self._dropped, stop)
        self._dropped -= start
        return wave[:, start:] / envelope[:, start:].clamp(min=_MIN_ENVELOPE)
