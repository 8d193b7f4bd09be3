"""Figures of predicted codes beside their loss: precision of ends, and nats of each clip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class EndCounts(NamedTuple):
    """How often the end was the likeliest code of a step, and how often it was right."""

    predicted: int
    """Steps whose likeliest code is the end."""
    correct: int
    """Ends of clips among them."""
    actual: int
    """Ends of clips."""


def count_ends(logits: Tensor, targets: Tensor, end: int) -> EndCounts:
    """Count the ends that are predicted and those of clips.

    Args:
        logits: [N, V + 1] of the first codebook, each after the right codes.
        targets: [N] int64.
        end: id of the end.
    """
    is_predicted, is_actual = logits.argmax(dim=1) == end, targets == end
    counts = torch.stack([is_predicted.sum(), (is_predicted & is_actual).sum(), is_actual.sum()])
    return EndCounts(*counts.tolist())


def clip_nats(logits: Sequence[Tensor], targets: Sequence[Tensor], frames: Tensor) -> Tensor:
    """Return the cross-entropy [C] of each clip, summed over all its codes and its end.

    Args:
        logits: K of [N_k, V_k], clip by clip; the first has an end after the frames of a clip.
        targets: K of [N_k] int64, of all frames.
        frames: [C] int64 frames of each clip.
    """
    nats = torch.zeros(len(frames), device=frames.device)
    clips = torch.arange(len(frames), device=frames.device)
    for k, (logit, target) in enumerate(zip(logits, targets, strict=True)):
        of_code = clips.repeat_interleave(frames + (k == 0))
        losses = F.cross_entropy(logit.float(), target, reduction="none")
        nats.index_add_(0, of_code, losses)
    return nats
