"""Parts of the waveform stage, untrained: networks, their optimizers, the policy of precision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from gsv2.models.vits2.config import VITS2Config
from gsv2.models.vits2.discriminators import MultiDiscriminator
from gsv2.models.vits2.duration_discriminator import DurationDiscriminator
from gsv2.models.vits2.model import VITS2
from gsv2.nn.codes import CodeConfig
from gsv2.stages.sections import check_optim
from gsv2.stages.vits2_config import (
    DISCRIMINATOR,
    DURATION_DISCRIMINATOR,
    GENERATOR,
    VITS2RunConfig,
)
from gsv2.stages.vits2_network import make_network
from gsv2.stages.vits2_quantizer import QUANTIZER, SPEECH_ENCODER, QuantizerTraining
from gsv2.training.precision.policy import PrecisionPolicy
from gsv2.training.stage import Trainable, make_trainable


class VITS2Parts(NamedTuple):
    """What the stage trains, and by what."""

    network: VITS2
    """The waveform model, on its device."""
    config: VITS2Config
    """Its config, with what quantizer and corpora say."""
    codes: CodeConfig | None
    """Shape of the codes that corpora must hold for it; None where they need none."""
    trainables: dict[str, Trainable]
    """Name -> network with its optimizer."""
    precision: PrecisionPolicy
    """Policy of which of them computes in which dtype."""
    quantizer: QuantizerTraining | None
    """The quantizer's part of a step, where it trains too."""


def make_parts(config: VITS2RunConfig, device: torch.device) -> VITS2Parts:
    """Build the networks of a run.

    Raises:
        ValueError: the sections do not fit together, or what they name is missing or damaged.
    """
    model, optim, max_steps = config.model, config.optim, config.trainer.max_steps
    judges = [DURATION_DISCRIMINATOR] * (model.duration_discriminator is not None)
    names = [GENERATOR, DISCRIMINATOR, *judges]
    names += [QUANTIZER] * (model.trained_quantizer is not None)
    check_optim(optim, names)
    precision = make_precision(config, names)
    quantizer = _make_quantizer(config, device, precision)
    built = make_network(model, config.data, None if quantizer is None else quantizer.network)
    network, networks = built.model.to(device), model.discriminator.network()
    discriminator = MultiDiscriminator(networks).to(device)
    parts = {
        GENERATOR: ("vits2", network, built.config, optim[GENERATOR]),
        DISCRIMINATOR: ("discriminator", discriminator, networks, optim[DISCRIMINATOR]),
    }
    if (durations := model.duration_discriminator) is not None:
        judge = DurationDiscriminator(durations, built.config.channels).to(device)
        name = DURATION_DISCRIMINATOR
        parts[name] = (name, judge, durations, optim[name])
    trainables = {
        name: make_trainable(*part, max_steps, built.provenance) for name, part in parts.items()
    }
    if quantizer is not None:
        trainables[QUANTIZER] = quantizer.trainable
    return VITS2Parts(network, built.config, built.codes, trainables, precision, quantizer)


def _make_quantizer(
    config: VITS2RunConfig, device: torch.device, precision: PrecisionPolicy
) -> QuantizerTraining | None:
    """Return the quantizer's part of a step; None where it does not train."""
    trained = config.model.trained_quantizer
    if trained is None:
        return None
    made = QuantizerTraining(
        trained,
        config.optim[QUANTIZER],
        config.trainer.max_steps,
        config.data.micro_batches_per_step,
        device,
        precision.autocast,
    )
    precision.frozen[SPEECH_ENCODER] = made.speech_encoder
    return made


def make_precision(config: VITS2RunConfig, names: Sequence[str]) -> PrecisionPolicy:
    """Return the policy of the trainables, and of the speech encoder of a quantizer that trains."""
    trained = config.model.trained_quantizer
    if trained is None:
        return PrecisionPolicy(config.precision, (*names, "losses"))
    kinds = {SPEECH_ENCODER: trained.network.speech_encoder.name}
    return PrecisionPolicy(config.precision, (SPEECH_ENCODER, *names, "losses"), kinds)
