"""Config sections that stages share, checked in one place: `optim`, codes of `model`, limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from gsv2.models.component import load_component
from gsv2.models.quantizer.model import Quantizer
from gsv2.nn.codes import CodeConfig
from gsv2.training.checkpoints.checkpoint import find_component
from gsv2.training.config import RunConfig
from gsv2.training.optim import OptimConfig
from gsv2.training.schedule import check_schedule

ConfigT = TypeVar("ConfigT", bound=Any)


@dataclass(frozen=True, kw_only=True)
class CodesModelSection:
    """Part that the `model` sections of all stages that read codes share."""

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


def check_sections(config: RunConfig) -> list[str]:
    """Check what one section asks of another; return what is allowed, but hardly meant.

    Raises:
        ValueError: names both keys.
    """
    steps, doubts = config.trainer.max_steps, []
    every, best = config.trainer.validate_every_steps, config.checkpoint.best
    if not config.data.validation:
        if every:
            raise ValueError(
                f"trainer.validate_every_steps must be 0 without data.validation, but is {every}"
            )
        if best and best.startswith("validation/"):
            raise ValueError(f"checkpoint.best is {best!r}, which needs data.validation")
    entries: Mapping[str, OptimConfig] = getattr(config, "optim", {})  # each stage has its own
    for name, optim in entries.items():
        try:
            check_schedule(optim, steps)
        except ValueError as error:
            raise ValueError(f"optim.{name}.{error}") from error
        if steps and optim.warmup_steps >= steps:
            doubts.append(
                f"optim.{name}.warmup_steps ({optim.warmup_steps}) is not below trainer.max_steps "
                f"({steps}): the learning rate never reaches its peak"
            )
    return doubts
