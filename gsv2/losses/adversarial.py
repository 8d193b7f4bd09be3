"""Adversarial losses: least-squares GAN (arXiv 1611.04076) and feature matching, as in HiFi-GAN.

Summed over discriminators (HiFi-GAN, arXiv 2010.05646, equations 1-2 and 4), in fp32.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def discriminator_loss(real: Sequence[Tensor], fake: Sequence[Tensor]) -> Tensor:
    """Return the discriminators' loss: real must score 1, fake 0.

    Args:
        real: logits [B, ...] of each discriminator for recordings.
        fake: the same for generated waves.

    Returns:
        [] float32.
    """
    terms = [
        (1 - r.float()).square().mean() + f.float().square().mean()
        for r, f in zip(real, fake, strict=True)
    ]
    return torch.stack(terms).sum()


def generator_loss(fake: Sequence[Tensor]) -> Tensor:
    """Return the generator's adversarial loss: fake must score 1.

    Args:
        fake: logits [B, ...] of each discriminator for generated waves.

    Returns:
        [] float32.
    """
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
