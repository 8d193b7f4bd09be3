"""Starting points of the waveform stage: HiFi-GAN's generator and discriminators of others.

They are weights alone, as `gsv2 import` writes them. A run that resumes takes nothing: its
checkpoint has it all.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, fields
from pathlib import Path

from torch import nn

from gsv2.models.component import load_component
from gsv2.models.initial_weights import take_weights

NONE = "none"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class WaveformInitConfig:
    """What a fresh run of the waveform stage starts from; a resumed one from its checkpoint."""

    generator: str = NONE
    """File of a HiFi-GAN generator (`gsv2 import`), whose weights are taken where names and shapes
    are those of `model.generator.generator`; `none` = random weights. What was taken and what was
    not is logged, and nothing at all is an error."""
    discriminator: str = NONE
    """The same for the discriminators."""

    def __post_init__(self) -> None:
        """Check that each says something."""
        for field in fields(self):
            if not getattr(self, field.name):
                raise ValueError(
                    f"waveform_init.{field.name} must be none or name a file, but is empty"
                )


def start_waveform(
    generator: nn.Module, discriminator: nn.Module, init: WaveformInitConfig
) -> None:
    """Give the networks the weights that their run starts from, and log the name of every tensor.

    Args:
        generator: bare generator of the waveform model.
        discriminator: bare discriminators.
        init: the section `waveform_init`.

    Raises:
        ValueError: there are no such weights, they are damaged, or none of them fits.
    """
    networks = {"generator": generator, "discriminator": discriminator}
    for kind, network in networks.items():
        source = getattr(init, kind)
        if source == NONE:
            continue
        where = f"waveform_init.{kind} {source}"
        component = load_component(Path(source), kind)
        for line in take_weights(network, component.tensors, where=where).lines():
            logger.info("%s: %s", where, line)
