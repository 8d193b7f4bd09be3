"""Config sections that several stages share, each checked here alone: `optim`, codes of `model`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from gsv2.models.component import load_component
from gsv2.models.quantizer.model import Quantizer
from gsv2.nn.codes import CodeConfig
from gsv2.training.checkpoints.checkpoint import find_component
from gsv2.training.optim import OptimConfig

ConfigT = TypeVar("ConfigT", bound=Any)


@dataclass(frozen=True, kw_only=True)
class CodesModelSection:
    """What the `model` section of every stage that reads codes has."""

    quantizer: str
    """Run folder, checkpoint, bundle or file of the quantizer that made the codes."""

    def __post_init__(self) -> None:
        """Check that there is a quantizer."""
        if not self.quantizer:
            raise ValueError("model.quantizer must name a quantizer, but is empty")

    def load_quantizer(self) -> Quantizer:
        """Return the quantizer, frozen.

        Raises:
            ValueError: there is none, or it is damaged.
        """
        path = find_component(Path(self.quantizer), "quantizer")
        return Quantizer.from_component(load_component(path, "quantizer"))


def fill_codes(config: ConfigT, codes: CodeConfig, key: str) -> ConfigT:
    """Return the config of a network with the shape of the quantizer's codes.

    Args:
        config: dataclass with a field `codes`.
        codes: shape of the quantizer's codes.
        key: key of the config in the file.

    Raises:
        ValueError: the file has another shape there, which would be overwritten.
    """
    if config.codes not in (CodeConfig(), codes):
        raise ValueError(
            f"{key}.codes must be left out, since they are those of the quantizer ({codes}), "
            f"but is {config.codes}"
        )
    return replace(config, codes=codes)


def check_optim(optim: Mapping[str, OptimConfig], names: Sequence[str]) -> None:
    """Check that the `optim` section has an entry for each trainable and no other.

    Raises:
        ValueError: names both.
    """
    if set(optim) != set(names):
        raise ValueError(f"optim must have {' and '.join(names)} only, but has {[*optim]}")
