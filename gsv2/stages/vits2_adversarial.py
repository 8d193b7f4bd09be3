"""Adversarial updates of the waveform stage: of the discriminators, and by them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

from gsv2.losses.adversarial import (
    AdversarialKind,
    discriminator_loss,
    feature_matching_loss,
    generator_loss,
    gradient_penalty,
)
from gsv2.models.vits2.decoded import Decoded
from gsv2.stages.vits2_config import DISCRIMINATOR, DURATION_DISCRIMINATOR
from gsv2.stages.vits2_discriminators import DiscriminatorSection
from gsv2.stages.vits2_durations import duration_discriminator_update
from gsv2.training.stage import Trainable, Update

Autocast = Callable[[str, torch.device], AbstractContextManager[Any]]
"""Name of a module, device -> context that it computes in."""


def adversarial_updates(
    trainables: Mapping[str, Trainable],
    real: Tensor,
    decoded: Decoded,
    section: DiscriminatorSection,
    r1: float,
    autocast: Autocast,
) -> Iterator[Update]:
    """Yield the update of the discriminators of waves, then that of durations, if there is one.

    Args:
        trainables: networks of the stage.
        real: [B, 1, N] segments of recordings.
        decoded: what the generator made of the recordings.
        section: which loss it is.
        r1: weight of R1 in this step; 0 = it does not count.
        autocast: context of each discriminator.
    """
    judges, fake = trainables[DISCRIMINATOR], decoded.wave.detach()
    with autocast(DISCRIMINATOR, real.device):
        update = discriminator_update(judges, real, fake, section, r1)
    yield update
    judge, aligned = trainables.get(DURATION_DISCRIMINATOR), decoded.aligned
    if judge is not None and aligned is not None:
        with autocast(DURATION_DISCRIMINATOR, real.device):
            update = duration_discriminator_update(judge, aligned)
        yield update


def discriminator_update(
    judges: Trainable, real: Tensor, fake: Tensor, section: DiscriminatorSection, r1: float
) -> Update:
    """Return the discriminators' update: recordings and generated waves in one pass.

    Args:
        judges: the discriminators.
        real: [B, 1, N] segments of recordings.
        fake: [B, 1, N] generated segments, detached.
        section: which loss it is.
        r1: weight of R1 in this step; 0 = it does not count.
    """
    real = real.detach().requires_grad_(r1 > 0)
    logits, _ = judges(torch.cat([real, fake]))
    of_real, of_fake = zip(*(both.chunk(2) for both in logits), strict=True)
    loss = discriminator_loss(of_real, of_fake, section.loss)
    if not r1:
        return Update(DISCRIMINATOR, loss, {})
    penalty = gradient_penalty(of_real, real)
    metrics = {f"{DISCRIMINATOR}/r1": penalty.detach()}
    return Update(DISCRIMINATOR, loss + 0.5 * r1 * penalty, metrics)


def judged_terms(
    judges: Trainable, real: Tensor, fake: Tensor, kind: AdversarialKind
) -> dict[str, Tensor]:
    """Return the losses that the discriminators give the generator.

    Args:
        judges: the discriminators.
        real: [B, 1, N] segments of recordings.
        fake: [B, 1, N] generated segments.
        kind: shape of the adversarial loss.
    """
    with judges.frozen() as judge:
        with torch.no_grad():
            _, real_features = judge(real)
        fake_logits, fake_features = judge(fake)
    return {
        "adversarial": generator_loss(fake_logits, kind),
        "feature_matching": feature_matching_loss(real_features, fake_features),
    }
