"""CTC loss (connectionist temporal classification, Graves et al. 2006) of each clip, by torch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def ctc_losses(
    log_probs: Tensor, lengths: Tensor, targets: Tensor, target_lengths: Tensor, is_valid: Tensor
) -> Tensor:
    """Return -log p(text | frames) of each clip in nats; 0, without a gradient, where not valid.

    Args:
        log_probs: [C, T, columns], blank first; rows must sum to one, as torch's gradient assumes.
        lengths: [C] int64, in frames.
        targets: [C, L] int64 columns.
        target_lengths: [C] int64.
        is_valid: [C] bool: clips with enough frames.

    Returns:
        [C] fp32.
    """
    losses = F.ctc_loss(
        log_probs.float().transpose(0, 1),
        targets,
        lengths,
        target_lengths,
        reduction="none",
        zero_infinity=True,  # torch's own answer where frames are too few, before the mask
    )
    return torch.where(is_valid, losses, losses.detach() * 0.0)
