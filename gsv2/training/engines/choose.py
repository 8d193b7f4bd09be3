"""Which engine runs which trainable."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace

from gsv2.training.distributed.launcher import ignored_flags
from gsv2.training.distributed.ranks import Distributed
from gsv2.training.engines.deepspeed import DeepSpeedEngine
from gsv2.training.engines.deepspeed_config import ignored_settings, launched_engine
from gsv2.training.engines.engine import Engine, EngineConfig, EngineError
from gsv2.training.stage import Trainable

logger = logging.getLogger(__name__)


def choose_engines(
    trainables: Mapping[str, Trainable], configs: Mapping[str, EngineConfig]
) -> dict[str, EngineConfig]:
    """Return an entry for each trainable, none of them `auto`.

    Args:
        trainables: of the stage.
        configs: the `engines` section.

    Raises:
        EngineError: an entry is of no trainable, or asks DeepSpeed to run what it cannot.
    """
    launched = launched_engine()
    for name in configs:
        if name not in trainables:
            names = ", ".join(trainables)
            raise EngineError(f"engines.{name}: no such trainable; this stage has {names}")
    chosen = {}
    for name, trainable in trainables.items():
        config = configs.get(name, EngineConfig())
        if config.kind == "deepspeed" and trainable.plain_because:
            raise EngineError(
                f"engines.{name}.kind must be ddp, but is deepspeed: {trainable.plain_because}"
            )
        if config.kind == "auto":
            plain = replace(config, kind="ddp")
            config = plain if launched is None or trainable.plain_because else launched
        chosen[name] = config
    return chosen


def attach_engines(
    trainables: Mapping[str, Trainable],
    configs: Mapping[str, EngineConfig],
    distributed: Distributed,
) -> None:
    """Give each trainable its engine; weights and buffers become those of rank 0. Collective.

    The main rank names what the launcher asks for in vain.

    Raises:
        EngineError: see `choose_engines`.
    """
    chosen = choose_engines(trainables, configs)
    ignored = _ignored(chosen)
    if ignored and distributed.is_main:
        logger.warning(
            "of the launcher's settings, gsv2 IGNORES %s; it takes none but the ZeRO "
            "stage, for trainables whose engines.NAME.kind is auto",
            ", ".join(ignored),
        )
    for name, config in chosen.items():
        trainables[name].engine = make_engine(name, trainables[name], config, distributed)


def _ignored(chosen: Mapping[str, EngineConfig]) -> list[str]:
    """Return the launcher's settings without effect; its ZeRO stage too, if no engine has it."""
    launched = launched_engine()
    if launched is None:
        return ignored_flags()
    stage = [] if launched in chosen.values() else [f"the ZeRO stage ({launched.zero_stage})"]
    return [*stage, *ignored_settings(), *ignored_flags()]


def make_engine(
    name: str, trainable: Trainable, config: EngineConfig, distributed: Distributed
) -> Engine:
    """Return the engine of one trainable. Collective."""
    if config.kind != "deepspeed":
        return distributed.plain_engine(name, trainable.module, trainable.optimizer)
    distributed.share_buffers(trainable.module)
    return DeepSpeedEngine(
        name,
        trainable.module,
        trainable.optimizer,
        config,
        max_grad_norm=trainable.max_grad_norm,
        device=distributed.device,
    )
