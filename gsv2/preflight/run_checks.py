"""Checks of a machine and of a run's config that a rank makes by itself; those of doctor."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import torch

from gsv2.config import load_config
from gsv2.data.config import DataConfig
from gsv2.data.plan.plan import check_layout, check_step
from gsv2.libraries import loaded_version
from gsv2.preflight.corpora import check_corpora
from gsv2.preflight.machine import (
    check_devices,
    check_limits,
    check_shared_memory,
    device_facts,
    device_free_bytes,
)
from gsv2.preflight.report import Finding, attempt, check_room
from gsv2.stages import SCHEMAS, STAGES, members_of
from gsv2.stages.sections import check_sections
from gsv2.training.checkpoints.mirror import try_mirror
from gsv2.training.config import RunConfig
from gsv2.training.memory_estimate import GIB, estimate_memory
from gsv2.training.precision.probes import planned_precision
from gsv2.training.prepare import check_names, recompute_activations
from gsv2.training.run_folder.folder import free_bytes
from gsv2.training.run_folder.shared import check_writable
from gsv2.training.stage import Stage

_REASON_CHARACTERS = 200
"""Length that the reason is cut to why memory could not be estimated."""


def check_one_rank(config_path: Path | None, overrides: Sequence[str]) -> Iterator[Finding]:
    """Check this machine and, if there is one, a run's config, as far as it can be read.

    Args:
        config_path: YAML file of the run; None = no run.
        overrides: `section.key=value` strings.
    """
    is_gpu = torch.cuda.is_available()
    device = torch.device("cuda" if is_gpu else "cpu")
    yield Finding("device", "ok", device_facts(device)["device"])
    config: RunConfig | None = None
    if config_path is not None:
        config, read = read_config("config", config_path, overrides)
        yield read
    each = torch.cuda.device_count() if is_gpu else 1  # as a launcher would start them
    local = int(os.environ.get("LOCAL_WORLD_SIZE", each))
    yield from check_machine(device, local, 1, config.data.workers if config else 0)
    if config is None:
        yield check_room("disk", free_bytes(Path.cwd()), "here")
        return
    yield from check_config(config, int(os.environ.get("WORLD_SIZE", "1")))
    yield attempt("run folder", partial(_writable, Path(config.run.dir)))
    where = (config.checkpoint.target, config.run.name)
    yield attempt("checkpoint target", partial(try_mirror, *where))
    if config.tracking.tensorboard:
        yield attempt("tensorboard", _tensorboard)
    stage, findings = build_stage(config)
    yield from findings
    yield from check_corpora(config.data, members_of(config), stage)
    if stage is not None:
        yield from _describe_networks(stage)
        yield attempt("memory of a step", partial(_memory, config, stage))


def read_config(
    name: str, path: Path, overrides: Sequence[str]
) -> tuple[RunConfig | None, Finding]:
    """Return the config of a run, or None, and the finding `name` of how it was read."""
    try:
        config: RunConfig = load_config(path, overrides, SCHEMAS)
    except (ValueError, OSError) as error:
        return None, Finding(name, "fail", str(error))
    return config, Finding(name, "ok", f"{path}: stage {config.stage}, seed {config.seed}")


def check_machine(
    device: torch.device, local_ranks: int, nodes: int, workers: int
) -> Iterator[Finding]:
    """Yield what this machine offers its ranks, each with so many data workers."""
    yield attempt("devices", partial(check_devices, device, local_ranks, workers))
    yield attempt("shared memory", partial(check_shared_memory, local_ranks, workers))
    yield attempt("limits", partial(check_limits, nodes))


def check_config(config: RunConfig, world: int) -> Iterator[Finding]:
    """Yield whether the sections of a config fit together, on so many ranks, and onto the disk."""
    yield attempt("lanes", partial(_lanes, config.data, world))
    yield attempt("sections", partial(_sections, config))
    yield check_room("disk", free_bytes(Path(config.run.dir)), "in run.dir")


def build_stage(config: RunConfig) -> tuple[Stage | None, list[Finding]]:
    """Return the stage of a run, None if it cannot be built, and what was found."""
    try:
        stage: Stage = STAGES[config.stage].build(config, torch.device("cpu"))
    except (ValueError, OSError) as error:
        return None, [Finding("model", "fail", str(error))]
    names = ", ".join(stage.trainables)
    return stage, [Finding("model", "ok", names), attempt("names", partial(_names, config, stage))]


def _lanes(data: DataConfig, world: int) -> str:
    """Check that ranks and workers share lanes and micro-batches."""
    check_layout(data.lanes, world, data.workers)
    check_step(data.micro_batches_per_step, world)
    shared = f"{world} ranks x {max(data.workers, 1)} workers"
    accumulated = data.micro_batches_per_step // world
    return f"{data.lanes} lanes for {shared}, {accumulated} micro-batches a step"


def _sections(config: RunConfig) -> Finding:
    doubts = check_sections(config)
    return Finding("sections", "warn" if doubts else "ok", "; ".join(doubts) or "fit together")


def _names(config: RunConfig, stage: Stage) -> str:
    check_names(config, stage.trainables)
    return f"of {', '.join(stage.trainables)}"


def _memory(config: RunConfig, stage: Stage) -> Finding:
    """Estimate what the largest micro-batches need on a rank, beside what this machine has."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    recompute_activations(stage.trainables, config.trainer.activation_checkpointing)
    num_local = max(1, config.data.micro_batches_per_step // world)
    try:
        estimate = estimate_memory(config.data, stage, num_local)
    except (ValueError, RuntimeError) as error:  # codebooks start from data, for one
        reason = " ".join(str(error).split())[:_REASON_CHARACTERS]
        return Finding("memory of a step", "ok", f"not estimated before its first step: {reason}")
    fits, room = estimate.total <= (free := device_free_bytes()), f"{free / GIB:.1f} GiB free here"
    return Finding("memory of a step", "ok" if fits else "warn", f"about {estimate}; {room}")


def _writable(folder: Path) -> str:
    check_writable(folder)
    return f"{folder}: writable"


def _tensorboard() -> str:
    """Return the version of what `tracking.tensorboard` needs, which is an extra."""
    try:
        return loaded_version("tensorboard")
    except ImportError as error:
        raise ImportError(f"pip install 'gsv2[tensorboard]' ({error})") from error


def _describe_networks(stage: Stage) -> Iterator[Finding]:
    """Yield size and precision of each network."""
    for name, trainable in stage.trainables.items():
        parameters = list(trainable.module.parameters())
        count = sum(p.numel() for p in parameters) / 1e6
        stored = ", ".join(sorted({str(p.dtype).removeprefix("torch.") for p in parameters}))
        yield Finding(f"module {name}", "ok", f"{count:.2f} M parameters, stored {stored}")
    modules = {name: trainable.module for name, trainable in stage.trainables.items()}
    for entry in planned_precision(stage.precision, modules):
        yield Finding(f"precision {entry.module}", "ok", str(entry).partition(": ")[2])
