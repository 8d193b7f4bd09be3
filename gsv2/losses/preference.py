"""Preference loss: chosen codes gain on rejected ones (DPO, arXiv 2305.18290, equation 7)."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor
from torch.nn import functional as F


class LogProbabilities(NamedTuple):
    """Log-probabilities of P pairs by one network, in nats."""

    chosen: Tensor
    """[P] of the chosen codes."""
    rejected: Tensor
    """[P] of the rejected codes."""


class PreferenceLoss(NamedTuple):
    """Loss of a batch of pairs."""

    loss: Tensor
    """[] to minimise, per pair; ln 2 where nothing was learnt yet."""
    metrics: dict[str, Tensor]
    """Term -> [] detached, means over pairs."""


def preference_loss(
    policy: LogProbabilities, reference: LogProbabilities, beta: float
) -> PreferenceLoss:
    """Return the mean of -log sigmoid(beta * (gain of the chosen - gain of the rejected)).

    Args:
        policy: log-likelihoods by the network that trains.
        reference: log-likelihoods by the network that it began as.
        beta: strength with which it is kept near the reference.
    """
    chosen, rejected = (now - then for now, then in zip(policy, reference, strict=True))
    margins = beta * (chosen - rejected)
    loss = -F.logsigmoid(margins).mean()
    metrics = {
        "loss": loss.detach(),
        "preferred": (margins.detach() > 0).float().mean(),
        "margin": margins.detach().mean(),
        "chosen_gain": chosen.detach().mean(),
        "rejected_gain": rejected.detach().mean(),
    }
    return PreferenceLoss(loss, metrics)
