"""Losses of durations in the waveform stage, whose prior reads text."""

from __future__ import annotations

import torch
from torch import Tensor

from gsv2.losses.durations import duration_adversarial_loss, duration_discriminator_loss
from gsv2.models.vits2.text_prior import AlignedText
from gsv2.stages.vits2_config import DURATION_DISCRIMINATOR
from gsv2.training.stage import Trainable, Update


def duration_discriminator_update(discriminator: Trainable, aligned: AlignedText) -> Update:
    """Return the duration discriminator's update: recorded and predicted durations in one pass."""
    assert aligned.predicted is not None, "a deterministic predictor predicts"
    recorded = aligned.durations.clamp(min=1).float().log()
    logits = discriminator(
        aligned.hidden.detach().repeat(2, 1, 1),
        torch.cat([recorded, aligned.predicted.detach()]),
        aligned.learnt.repeat(2, 1),
    )
    of_recorded, of_predicted = logits.chunk(2)
    loss = duration_discriminator_loss(of_recorded, of_predicted, aligned.learnt)
    return Update(DURATION_DISCRIMINATOR, loss, {})


def duration_terms(aligned: AlignedText, discriminator: Trainable | None) -> dict[str, Tensor]:
    """Return the generator's losses of durations.

    Args:
        aligned: texts along their recordings.
        discriminator: the duration discriminator; None = none judges in this step.
    """
    terms = {"duration": aligned.duration_loss}
    if discriminator is not None:
        assert aligned.predicted is not None, "a deterministic predictor predicts"
        with discriminator.frozen() as judge:
            logits = judge(aligned.hidden.detach(), aligned.predicted, aligned.learnt)
        terms["duration_adversarial"] = duration_adversarial_loss(logits, aligned.learnt)
    return terms


def alignable_clips(aligned: AlignedText) -> Tensor:
    """Return which clips have no fewer frames than tokens, [B] bool."""
    return aligned.learnt.any(dim=1)
