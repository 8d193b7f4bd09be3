"""Code-prediction loss: cross-entropy per codebook, and how often the prediction is right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

TOP_K = 10
"""Ranks that count as right in `top10`."""


class PredictionLoss(NamedTuple):
    """Loss of a batch of predicted codes."""

    loss: Tensor
    """[] to minimise, per frame."""
    metrics: dict[str, Tensor]
    """Term -> [] detached, means over frames (`loss_end`: over clips), in nats and shares."""


def code_prediction_loss(
    logits: Sequence[Tensor], targets: Sequence[Tensor], weights: Sequence[float], end: int
) -> PredictionLoss:
    """Return the weighted mean over codebooks of the cross-entropy per frame.

    Codebooks after the first may have a sample of the frames; its mean stands for all of them, so
    that the loss and its gradient are right on average.

    The cross-entropy of the ends is part of the first codebook's share of `loss`, but not of its
    metrics, which therefore compare with statistics of codes.

    Args:
        logits: K of [N_k, V_k]; V_0 counts the end too.
        targets: K of [N_k] int64: the codes of all frames and the end of each clip in the first,
            the codes of all frames or of some in the others.
        weights: weight of each of the K codebooks.
        end: id of the end in codebook 0.
    """
    is_end = targets[0] == end
    num_frames = (~is_end).sum().clamp(min=1)
    losses = [
        F.cross_entropy(logit.float(), target, reduction="none")
        for logit, target in zip(logits, targets, strict=True)
    ]
    counts: list[Tensor | int] = [num_frames, *(max(len(t), 1) for t in targets[1:])]
    sums = [loss.sum() * (num_frames / count) for loss, count in zip(losses, counts, strict=True)]
    weighted = [weight * loss for weight, loss in zip(weights, sums, strict=True)]
    total = torch.stack(weighted).sum() / sum(weights) / num_frames
    metrics = {
        "loss": total.detach(),
        "loss_end": (losses[0].detach() * is_end).sum() / is_end.sum().clamp(min=1),
        "nats_per_frame": torch.stack(sums).detach().sum() / num_frames,
    }
    for k, (logit, target, loss) in enumerate(zip(logits, targets, losses, strict=True)):
        counted = target != end if k == 0 else torch.ones_like(target, dtype=torch.bool)
        ranked = logit.detach().topk(min(TOP_K, logit.shape[1]), dim=1).indices
        right = (ranked == target[:, None]) & counted[:, None]
        metrics[f"loss_{k}"] = (loss.detach() * counted).sum() / counts[k]
        metrics[f"top1_{k}"] = right[:, 0].sum() / counts[k]
        metrics[f"top{TOP_K}_{k}"] = right.sum() / counts[k]
    return PredictionLoss(total, metrics)
