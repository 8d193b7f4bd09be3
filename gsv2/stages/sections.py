"""Config sections that stages share, checked in one place: `optim`, codes of `model`, limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from gsv2.data.config import DataConfig
from gsv2.data.corpus.manifest import read_kind
from gsv2.models.component import load_component
from gsv2.models.quantizer.model import Quantizer
from gsv2.nn.codes import CodeConfig
from gsv2.storage.storage import Storage
from gsv2.text.encoders.config import TextVectorsConfig
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


def refuse_excerpts(data: DataConfig, reader: str) -> None:
    """Check that texts are read with whole clips.

    Args:
        data: section `data`.
        reader: key and value of what reads texts.

    Raises:
        ValueError: clips are read as excerpts.
    """
    if data.excerpt_sec is not None:
        raise ValueError(
            f"data.excerpt_sec must be left out for {reader}, which reads the texts of whole "
            f"clips, but is {data.excerpt_sec}"
        )


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


def fill_vectors(
    encoder: str, vectors: TextVectorsConfig, data: DataConfig, encoder_key: str, vectors_key: str
) -> TextVectorsConfig:
    """Return the frozen text encoder of the corpora that a network reads.

    Args:
        encoder: its name.
        vectors: what the config says of it.
        data: sources, whose text vectors say the rest.
        encoder_key: key of the name in the file.
        vectors_key: key of `vectors` in the file.

    Raises:
        ValueError: no source has text vectors, or they are of another encoder than the config's.
    """
    texts = next((source.texts for source in data.sources if source.texts is not None), None)
    if texts is None:
        raise ValueError(
            f"data.sources must have texts, sidecars with the vectors of {encoder}, for "
            f"{encoder_key}={encoder}, but have none; make them: gsv2 corpus extract-text"
        )
    made = read_kind(texts, "texts", Storage(data.remote, allow_pipe=data.allow_pipe))
    if vectors.sha256 not in (None, made.text_encoder):
        raise ValueError(
            f"text vectors {texts} must be of the encoder {vectors.sha256}, as "
            f"{vectors_key}.sha256 says, but are of {made.text_encoder}"
        )
    return TextVectorsConfig(
        path=vectors.path or made.build.get("source"), dim=made.text_dim, sha256=made.text_encoder
    )


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
