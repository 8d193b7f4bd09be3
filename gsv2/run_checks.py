"""Checks of `gsv2 doctor` of the config of a run."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from gsv2.check import Check, attempt, free_room
from gsv2.config import load_config
from gsv2.data.config import DataConfig, SourceConfig
from gsv2.data.plan.plan import check_layout, check_step, validation_plan
from gsv2.data.stream.batch import BadClip
from gsv2.data.stream.loader import read_batch
from gsv2.data.stream.reader import make_reader, read_clip
from gsv2.libraries import loaded_version
from gsv2.stages import SCHEMAS, STAGES
from gsv2.storage.storage import Storage
from gsv2.train import check_sections, open_sources
from gsv2.training.checkpoints.target import try_target
from gsv2.training.probes import planned_precision
from gsv2.training.rehearsal import check_names
from gsv2.training.run import RunConfig
from gsv2.training.stage import Stage
from gsv2.training.telemetry.folder import free_bytes

_PROBE_MB = 1.0
"""Window of the micro-batch that is read on trial."""


def check_run(config_path: Path, overrides: Sequence[str]) -> Iterator[Check]:
    """Check one run's config, as far as it can be read."""
    try:
        config: RunConfig = load_config(config_path, overrides, SCHEMAS)
    except ValueError as error:
        yield Check("config", "fail", str(error))
        return
    yield Check("config", "ok", f"stage {config.stage}, seed {config.seed}")
    yield attempt("lanes", lambda: _lanes(config))
    yield _sections(config)
    stage, unbuilt = _build(config)
    for source in [*config.data.sources, *config.data.validation]:
        check = partial(_corpus, config.data, source, STAGES[config.stage][1].members, stage)
        yield attempt(f"corpus {source.path}", check)
    yield attempt("run folder", lambda: _writable(Path(config.run.dir)))
    yield free_room("disk", free_bytes(Path(config.run.dir)))
    where = (config.checkpoint.target, config.run.name)
    yield attempt("checkpoint target", partial(try_target, *where))
    if config.tracking.tensorboard:
        yield attempt("tensorboard", _tensorboard)
    if stage is None:
        yield Check("model", "fail", unbuilt)
        return
    yield attempt("names", lambda: _names(config, stage))
    for name, trainable in stage.trainables.items():
        parameters = list(trainable.module.parameters())
        count = sum(p.numel() for p in parameters) / 1e6
        stored = ", ".join(sorted({str(p.dtype).removeprefix("torch.") for p in parameters}))
        yield Check(f"module {name}", "ok", f"{count:.2f} M parameters, stored {stored}")
    for row in planned_precision(stage):
        yield Check(f"precision {row.module}", "ok", str(row).partition(": ")[2])


def _sections(config: RunConfig) -> Check:
    try:
        doubts = check_sections(config)
    except ValueError as error:
        return Check("sections", "fail", str(error))
    return Check("sections", "warn" if doubts else "ok", "; ".join(doubts) or "fit together")


def _build(config: RunConfig) -> tuple[Stage | None, str]:
    """Return the stage of a run, or why it cannot be built."""
    try:
        return STAGES[config.stage][1](config, torch.device("cpu")), ""
    except (ValueError, OSError) as error:
        return None, str(error)


def _names(config: RunConfig, stage: Stage) -> str:
    check_names(config, stage.trainables)
    return f"of {', '.join(stage.trainables)}"


def _tensorboard() -> str:
    """Return the version of what `tracking.tensorboard` needs, which is an extra."""
    try:
        return loaded_version("tensorboard")
    except ImportError as error:
        raise ImportError(f"pip install 'gsv2[tensorboard]' ({error})") from error


def _corpus(
    config: DataConfig, source: SourceConfig, members: Sequence[str], stage: Stage | None
) -> str:
    """Open the index, and read a micro-batch as the run will; of local tars the last clip too."""
    storage = Storage(config.remote, allow_pipe=config.allow_pipe)
    index = open_sources([source], storage, stage, source.path)
    index.check_tars(members)
    alone = replace(config, sources=[source], window_mb=_PROBE_MB)
    plan = validation_plan(index, alone, 0, members)
    with closing(make_reader(index, members, alone)) as reader:
        bad = list(read_batch(reader, plan, plan.micro_batch(0)).bad)
        if index.storage.is_local(index.shards[-1].tar_of(members[-1])):
            last = read_clip(reader, index.num_clips - 1)
            bad += [last] if isinstance(last, BadClip) else []
    if bad:
        raise ValueError(f"clip {bad[0].key} in {bad[0].shard}: {bad[0].reason}")
    return index.summary()


def _lanes(config: RunConfig) -> str:
    world = int(os.environ.get("WORLD_SIZE", "1"))
    check_layout(config.data.lanes, world, config.data.workers)
    check_step(config.data.micro_batches_per_step, world)
    return f"{config.data.lanes} lanes for {world} ranks x {max(config.data.workers, 1)} workers"


def _writable(folder: Path) -> str:
    """Write and rename a file there, as a checkpoint does."""
    folder.mkdir(parents=True, exist_ok=True)
    probe = folder / ".doctor-probe"
    probe.write_text("probe")
    probe.rename(folder / ".doctor-probe-renamed").unlink()
    return f"{folder}: writable"


def check_devices() -> Check:
    """Return what networks are computed on."""
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        return Check("devices", "ok", f"{len(names)} GPU: {', '.join(names)}")
    return Check("devices", "ok", f"CPU, {torch.get_num_threads()} threads")


def check_disk() -> Check:
    """Check the room where the command was called."""
    return free_room("disk", free_bytes(Path.cwd()))
