"""Adversarial losses: least-squares GAN (arXiv 1611.04076), hinge, and feature matching.

Summed over discriminators (HiFi-GAN, arXiv 2010.05646, equations 1-2 and 4), in fp32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

AdversarialKind = Literal["least_squares", "hinge"]
"""`least_squares`: scores of 1 and 0 are learnt. `hinge` (Geometric GAN, arXiv 1705.02894,
equations 14 and 15): scores above 1 and below -1 are good enough."""


def discriminator_loss(
    real: Sequence[Tensor], fake: Sequence[Tensor], kind: AdversarialKind = "least_squares"
) -> Tensor:
    """Return the discriminators' loss: real must score 1, fake 0, or -1 with a hinge.

    Args:
        real: logits [B, ...] of each discriminator for recordings.
        fake: the same for generated waves.
        kind: shape of the loss.

    Returns:
        [] float32.
    """
    terms = [_judge(r.float(), f.float(), kind) for r, f in zip(real, fake, strict=True)]
    return torch.stack(terms).sum()


def generator_loss(fake: Sequence[Tensor], kind: AdversarialKind = "least_squares") -> Tensor:
    """Return the generator's adversarial loss: fake must score 1, or as high as it can.

    Args:
        fake: logits [B, ...] of each discriminator for generated waves.
        kind: shape of the loss.

    Returns:
        [] float32.
    """
    if kind == "hinge":
        return torch.stack([-f.float().mean() for f in fake]).sum()
    return torch.stack([(1 - f.float()).square().mean() for f in fake]).sum()


def feature_matching_loss(
    real: Sequence[Sequence[Tensor]], fake: Sequence[Sequence[Tensor]]
) -> Tensor:
    """Return the L1 distance of the discriminators' features.

    Args:
        real: features [B, ...] of each layer of each discriminator for recordings.
        fake: the same for generated waves.

    Returns:
        [] float32.
    """
    terms = [
        (r.detach().float() - f.float()).abs().mean()
        for real_layers, fake_layers in zip(real, fake, strict=True)
        for r, f in zip(real_layers, fake_layers, strict=True)
    ]
    return torch.stack(terms).sum()


def gradient_penalty(logits: Sequence[Tensor], wave: Tensor) -> Tensor:
    """Return R1: the squared slope of the discriminators at recordings (arXiv 1801.04406, eq. 9).

    The score of a recording is the sum over discriminators of the mean of its logits.

    Args:
        logits: logits of each discriminator [B * period, ...], those of one recording adjacent.
        wave: [B, 1, N] recordings that they judged, a leaf that requires a gradient.

    Returns:
        [] float32, the mean over recordings; it can be differentiated again.
    """
    scores = [part.float().reshape(len(wave), -1).mean(dim=1).sum() for part in logits]
    total = torch.stack(scores).sum()
    (slope,) = torch.autograd.grad(total, wave, create_graph=True)
    return slope.float().square().flatten(1).sum(dim=1).mean()


def _judge(real: Tensor, fake: Tensor, kind: AdversarialKind) -> Tensor:
    """Return the loss of one discriminator."""
    if kind == "hinge":
        return functional.relu(1 - real).mean() + functional.relu(1 + fake).mean()
    return (1 - real).square().mean() + fake.square().mean()
