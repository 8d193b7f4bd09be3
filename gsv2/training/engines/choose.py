"""Choice of the engine that runs each trainable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from torch import nn
from torch.optim import Optimizer

from gsv2.training.distributed.launcher import ignored_flags
from gsv2.training.distributed.ranks import Distributed
from gsv2.training.engines.deepspeed import DeepSpeedEngine
from gsv2.training.engines.deepspeed_config import ignored_settings, launched_engine
from gsv2.training.engines.engine import Engine, EngineConfig, EngineError
from gsv2.training.engines.plain import PlainEngine


def choose_engines(
    plain_because: Mapping[str, str], configs: Mapping[str, EngineConfig]
) -> dict[str, EngineConfig]:
    """Return an entry for each trainable, none of them `auto`.

    Args:
        plain_because: trainable -> why DeepSpeed must not run it; empty if it may.
        configs: the `engines` section.

    Raises:
        EngineError: an entry is of no trainable, or asks DeepSpeed to run what it cannot.
    """
    launched = launched_engine()
    for name in configs:
        if name not in plain_because:
            names = ", ".join(plain_because)
            raise EngineError(f"engines.{name}: no such trainable; this stage has {names}")
    chosen = {}
    for name, reason in plain_because.items():
        config = configs.get(name, EngineConfig())
        if config.kind == "deepspeed" and reason:
            raise EngineError(f"engines.{name}.kind must be ddp, but is deepspeed: {reason}")
        if config.kind == "auto":
            plain = replace(config, kind="ddp")
            config = plain if launched is None or reason else launched
        chosen[name] = config
    return chosen


def ignored_by(chosen: Mapping[str, EngineConfig]) -> list[str]:
    """Return the launcher's settings without effect; its ZeRO stage too, if no engine has it."""
    launched = launched_engine()
    if launched is None:
        return ignored_flags()
    stage = [] if launched in chosen.values() else [f"the ZeRO stage ({launched.zero_stage})"]
    return [*stage, *ignored_settings(), *ignored_flags()]


def make_engine(
    name: str,
    module: nn.Module,
    optimizer: Optimizer,
    config: EngineConfig,
    distributed: Distributed,
    *,
    max_grad_norm: float,
) -> Engine:
    """Return the engine of one network. Collective.

    Args:
        module: bare network on its device, whose weights and buffers become those of the main rank.
        optimizer: optimizer of the module's parameters.
        config: a kind that is not `auto`.
        max_grad_norm: L2 norm that gradients are clipped to.
    """
    if config.kind != "deepspeed":
        return PlainEngine(name, module, optimizer, distributed)
    distributed.share_buffers(module)
    return DeepSpeedEngine(
        name,
        module,
        optimizer,
        config,
        max_grad_norm=max_grad_norm,
        device=distributed.device,
    )
