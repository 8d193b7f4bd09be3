"""Training as a program: config -> stage -> stream -> Trainer.

One process: `python -m gsv2.train CONFIG key=value ...` (or `gsv2 train`); several ranks:
`accelerate launch ... -m gsv2.train CONFIG key=value ...`.
"""

from __future__ import annotations

if __name__ == "__main__":  # before imports of seconds, in which a scheduler may change its mind
    import os

    from gsv2.heap import keep_freed_memory
    from gsv2.openmp import limit_spinning
    from gsv2.training.faults.signals import exit_at_signal

    exit_at_signal()
    limit_spinning(os.environ)
    keep_freed_memory(os.environ)

    from gsv2.libraries import stop_unless_loadable

    stop_unless_loadable("gsv2.train")

import argparse
import faulthandler
import gc
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from rich.logging import RichHandler

from gsv2.caches import set_cache_folders
from gsv2.config import load_config
from gsv2.data.config import SourceConfig
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.corpus.provenance import describe_corpora, write_corpora
from gsv2.data.plan.plan import Plan, validation_plan
from gsv2.data.stream.loader import StreamStart, make_loader, make_validation_loader
from gsv2.seeds import seed_torch
from gsv2.stages import STAGES, StageEntry
from gsv2.stages.gpt_config import GPT
from gsv2.stages.sections import check_sections
from gsv2.stages.sources import open_sources
from gsv2.storage.storage import Storage
from gsv2.training.checkpoints.fingerprint import take_fingerprint
from gsv2.training.config import RunConfig
from gsv2.training.distributed.ranks import Distributed, leave
from gsv2.training.faults.signals import EXIT_REQUEUE, Preempted, StopSignals
from gsv2.training.faults.watchdog import is_lost_rank
from gsv2.training.precision.cpu_dtypes import describe_cpu_dtypes
from gsv2.training.run_folder.folder import RunFolder
from gsv2.training.run_folder.lock import sole_launch
from gsv2.training.stage import Stage
from gsv2.training.telemetry.progress import console
from gsv2.training.threads import run_threads
from gsv2.training.trainer import Trainer

__all__ = ["EXIT_REQUEUE", "main"]

logger = logging.getLogger(__name__)


def main(
    config_path: str | Path,
    overrides: Sequence[str] = (),
    *,
    stages: Mapping[str, StageEntry] = STAGES,
) -> Path:
    """Train one stage to its last step, from its last checkpoint if it has one.

    May be called again and again in one process.

    Args:
        config_path: YAML file of the run.
        overrides: `section.key=value` strings.
        stages: stages that `stage` of the file may name, e.g. those of gsv2 and one's own.

    Returns:
        The run folder.

    Raises:
        ValueError: the config, the corpus or a checkpoint cannot be used; the message says why.
        Preempted: SIGTERM or SIGUSR1 told a rank to leave; a `SystemExit` with `EXIT_REQUEUE`.
    """
    with StopSignals() as signals:
        schemas = {name: entry.schema for name, entry in stages.items()}
        config = load_config(config_path, overrides, schemas)
        distributed = Distributed(config.trainer.rank_timeout_sec)
        try:
            resumes = config.checkpoint.resume == "auto"
            with run_threads(RunFolder(config.run.folder), distributed, resumes=resumes):
                return _train(config, distributed, signals, stages)
        except Preempted as stop:
            logger.warning("%s", stop.message)
            raise
        finally:
            distributed.release()


class _CallableModule(ModuleType):
    """This module as the function that `from gsv2 import train` promises; both have its name."""

    def __call__(
        self,
        config_path: str | Path,
        overrides: Sequence[str] = (),
        *,
        stages: Mapping[str, StageEntry] = STAGES,
    ) -> Path:
        """See `main`."""
        return main(config_path, overrides, stages=stages)


sys.modules[__name__].__class__ = _CallableModule


def _train(
    config: RunConfig,
    distributed: Distributed,
    signals: StopSignals,
    stages: Mapping[str, StageEntry],
) -> Path:
    _log_start(config, distributed)
    trainer = Trainer(config, distributed, signals)
    seed_torch(config.seed, "build")
    stage = stages[config.stage].build(config, distributed.device)
    if distributed.is_main and distributed.device.type == "cpu":
        if advice := describe_cpu_dtypes(stage.precision.table(), GPT):
            logger.info("%s", advice)
    loading: dict[str, Any] = {
        "rank": distributed.rank,
        "world": distributed.world,
        "pin_memory": distributed.device.type == "cuda",
    }
    index = _open_index(config, config.data.sources, stage, distributed, "data.sources")
    what = (config.data, config.seed, stage.members)
    plan = distributed.on_all(lambda: Plan(index, *what))
    left_out = f", left out: {dict(plan.left_out)}" if plan.left_out else ""
    logger.info("%s: %d clips%s", config.run.name, plan.num_clips, left_out)
    validation = None
    if config.data.validation:
        other = _open_index(config, config.data.validation, stage, distributed, "data.validation")
        held_out = distributed.on_all(lambda: validation_plan(other, *what))
        validation = partial(make_validation_loader, held_out, **loading)
    run = trainer.folder.path
    with ExitStack() as stack:
        distributed.on_main(lambda: stack.enter_context(sole_launch(run)))
        distributed.on_main(lambda: write_corpora(run, describe_corpora(config.data)))
        trainer.fit(
            stage,
            lambda first, lanes: make_loader(plan, **loading, start=StreamStart(first, lanes)),
            validation,
            lambda: make_loader(plan, workers=0),
            take_fingerprint(index, config.data, stage.members),
        )
    return run


def _log_start(config: RunConfig, distributed: Distributed) -> None:
    """Say on the main rank where the run computes, and what of its config is doubtful."""
    if not distributed.is_main:
        return
    where = distributed.device
    logger.info("rank %d of %d on %s", distributed.rank, distributed.world, where)
    for doubt in check_sections(config):
        logger.warning("%s", doubt)


def _open_index(
    config: RunConfig,
    sources: Sequence[SourceConfig],
    stage: Stage,
    distributed: Distributed,
    where: str,
) -> CorpusIndex:
    """Open corpora and check that what the stage reads is there; the ranks share the looking."""
    storage = Storage(config.data.remote, allow_pipe=config.data.allow_pipe)
    index = distributed.on_all(lambda: open_sources(sources, storage, stage, where))
    part = {"part": distributed.rank, "parts": distributed.world}
    distributed.on_all(lambda: index.check_tars(stage.members, **part))
    return index


def _log_to_terminal(is_main: bool) -> None:
    handler = RichHandler(console=console(), show_path=False, markup=False)
    level = logging.INFO if is_main else logging.WARNING
    logging.basicConfig(level=level, format="%(message)s", datefmt="[%X]", handlers=[handler])


def _run(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m gsv2.train",
        description="Train one stage on the ranks of the launcher.",
        epilog="example: accelerate launch -m gsv2.train configs/gpt/base.yaml trainer.max_steps=9",
    )
    parser.add_argument("config", type=Path, help="YAML file of the run, or a shipped config")
    parser.add_argument("overrides", nargs="*", help="section.key=value")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    options = parser.parse_args(arguments)
    set_cache_folders(os.environ)
    _log_to_terminal(is_main=os.environ.get("RANK", "0") == "0")
    try:
        main(options.config, options.overrides)
    except Exception as error:
        if options.debug:
            raise
        if isinstance(error, RuntimeError) and is_lost_rank(error):
            reason = str(error).partition("\n")[0]
            line = f"another rank is gone, or late by trainer.rank_timeout_sec: {reason}"
        elif isinstance(error, ValueError | OSError):
            line = str(error)
        else:
            logger.exception("an error of the program, not of its input")
            return 1
        sys.stderr.write(f"gsv2.train: error: {line}\n")
        return 1
    except Preempted:
        return EXIT_REQUEUE
    except KeyboardInterrupt:
        sys.stderr.write(
            "gsv2.train: stopped; with checkpoint.resume=auto, which is the default, the same "
            "command goes on from the last checkpoint\n"
        )
        return 130
    Distributed().close()
    return 0


if __name__ == "__main__":
    gc.freeze()  # what is imported is no garbage: a full collection over it takes half a second
    faulthandler.enable()  # stacks of all threads when the process dies in native code
    leave(_run())
