"""Random segments: the waveform decoder trains on a slice of each clip."""

from __future__ import annotations

import torch
from torch import Tensor


def random_starts(lengths: Tensor, size: int) -> Tensor:
    """Draw where each clip's segment starts, from torch's default generator.

    Args:
        lengths: [B] int64, frames of each clip.
        size: frames of a segment; a shorter clip starts at 0.

    Returns:
        [B] int64, on the device of `lengths`.
    """
    choices = (lengths - size).clamp(min=0) + 1
    uniform = torch.rand(len(lengths)).to(lengths.device)  # drawn on the CPU: any device, same cut
    return (uniform * choices).long()


def cut_segments(x: Tensor, starts: Tensor, size: int) -> Tensor:
    """Return one segment of each item.

    Args:
        x: [B, C, T]; taken to be 0 behind its end.
        starts: [B] int64.
        size: length of the segments.

    Returns:
        [B, C, size].
    """
    missing = size - x.shape[-1]
    if missing > 0:
        x = torch.nn.functional.pad(x, (0, missing))
    index = starts.unsqueeze(-1) + torch.arange(size, device=x.device)  # [B, size]
    return x.gather(-1, index.unsqueeze(1).expand(-1, x.shape[1], -1))
