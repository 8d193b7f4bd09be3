"""Style references: which clip of a micro-batch gives each clip its style."""

from __future__ import annotations

import torch
from torch import Tensor


def random_references(sequence: Tensor, self_probability: float) -> Tensor:
    """Draw a clip of the same sequence for each clip, from torch's default generator.

    Args:
        sequence: [C] int64, ascending: the sequence of each clip.
        self_probability: how often a clip is its own reference although it need not be.

    Returns:
        [C] int64 indices; a clip alone in its sequence is its own reference.
    """
    uniform = torch.rand(2, len(sequence)).to(sequence.device)
    _, count = _spans(sequence)
    shift = 1 + (uniform[0] * (count - 1)).long()
    return _shifted(sequence, torch.where(uniform[1] < self_probability, 0, shift))


def next_references(sequence: Tensor) -> Tensor:
    """Choose the next clip of the same sequence for each clip, cyclically.

    Args:
        sequence: [C] int64, ascending: the sequence of each clip.

    Returns:
        [C] int64 indices; a clip alone in its sequence is its own reference.
    """
    return _shifted(sequence, torch.ones_like(sequence))


def mean_styles(styles: Tensor, sequence: Tensor) -> Tensor:
    """Return the mean style of all clips of each clip's sequence.

    Args:
        styles: [C, dim].
        sequence: [C] int64, ascending: the sequence of each clip.

    Returns:
        [C, dim].
    """
    is_same = (sequence[:, None] == sequence[None, :]).to(styles.dtype)
    return (is_same @ styles) / is_same.sum(dim=1, keepdim=True)


def _spans(sequence: Tensor) -> tuple[Tensor, Tensor]:
    """Return, of each clip's sequence, the first clip and the number of clips."""
    first = torch.searchsorted(sequence, sequence)
    return first, torch.searchsorted(sequence, sequence, right=True) - first


def _shifted(sequence: Tensor, shift: Tensor) -> Tensor:
    first, count = _spans(sequence)
    index = torch.arange(len(sequence), device=sequence.device)
    return first + (index - first + shift) % count
