"""Loss of the pointer's advance: how far into the text each frame moves it on."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def advance_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the mean cross-entropy of a frame, in nats; 0 without frames.

    Args:
        logits: [M, A] of each move.
        targets: [M] int64.
    """
    nats = F.cross_entropy(logits.float(), targets, reduction="sum")
    return nats / max(1, len(targets))
