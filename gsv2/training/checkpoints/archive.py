"""Archive of what a run has done before it goes back to an earlier step, or to another run's.

Retention takes away checkpoints of steps that the run has left, and records are cut there. After
`checkpoint.resume=none`, given by mistake or on the advice of an error message, that would be all
that the run has ever done. So it is moved to `RUN/earlier/1`, a run folder as any other: it can be
exported, and `checkpoint.resume=RUN/earlier/1` goes on from it.
"""

from __future__ import annotations

import logging
import shutil
from itertools import count
from pathlib import Path

import yaml

from gsv2.training.checkpoints.checkpoint import (
    CHECKPOINTS,
    CheckpointMismatchError,
    checkpoint_folder,
    list_steps,
)
from gsv2.training.checkpoints.mirror import CheckpointMirror
from gsv2.training.run_folder.records import read_records

ARCHIVE = "earlier"
_RECORDS = ("config.yaml", "environment.json", "metrics.jsonl", "quarantine.jsonl")

logger = logging.getLogger(__name__)


def archive_checkpoints(
    run: Path, found: Path | None, step: int, mirror: CheckpointMirror | None = None
) -> None:
    """Move the checkpoints of a run aside that it will not go on from.

    Args:
        found: checkpoint that the run begins with; None for a fresh start.
        step: step of that checkpoint; 0 for a fresh start.
        mirror: place of copies of the run's checkpoints.

    Raises:
        CheckpointMismatchError: the target has later ones, which nobody can move.
        OSError: a folder cannot be moved, or the target is out of reach.
    """
    there = [other for other in (mirror.steps() if mirror else []) if other > step]
    if mirror and there:
        raise CheckpointMismatchError(
            f"{mirror.name} has checkpoints up to step {there[-1]}, which a run from step {step} "
            "would take away; use another run.name or checkpoint.target, or checkpoint.resume=auto"
        )
    is_own = found is not None and found.parent.resolve() == (run / CHECKPOINTS).resolve()
    here = [other for other in list_steps(run) if other > step or not is_own]
    if not here and not (found is None and _had_checkpoints(run)):
        return
    aside = _make_folder(run / ARCHIVE)
    for name in _RECORDS:
        if (run / name).is_file():
            shutil.copy2(run / name, aside / name)
    for other in here:
        folder = checkpoint_folder(run, other)
        folder.rename(aside / CHECKPOINTS / folder.name)
    if not here:
        logger.warning(
            "%s has records in metrics.jsonl but no checkpoint: it begins again at step 0; its "
            "records are now in %s",
            run, aside,
        )  # fmt: skip
        return
    logger.warning(
        "this run begins again at step %d: its checkpoints up to step %d are now in %s; remove "
        "that folder if you do not need them",
        step, here[-1], aside,
    )  # fmt: skip


def _had_checkpoints(run: Path) -> bool:
    """Tell whether a run without checkpoints has come as far as its first, so that it is gone.

    One that was killed before has nothing to keep; its records are written again.
    """
    metrics = run / "metrics.jsonl"
    if not metrics.is_file() or not metrics.stat().st_size:
        return False
    try:
        step = read_records(metrics)[-1]["step"]
        config = yaml.safe_load((run / "config.yaml").read_bytes())
        every, last = config["checkpoint"]["every_steps"], config["trainer"]["max_steps"]
        first = min(every, last or every)
    except (ValueError, LookupError, TypeError, OSError, yaml.YAMLError):
        return True  # nobody can tell: keep what is there
    if step >= first:
        return True
    logger.warning(
        "%s ended at step %d, before its first checkpoint (step %d): it begins again at step 0",
        run, step, first,
    )  # fmt: skip
    return False


def _make_folder(parent: Path) -> Path:
    """Return the first `parent/N` that is free, with an empty folder for checkpoints in it."""
    for number in count(1):
        folder = parent / str(number)
        if not folder.exists():
            (folder / CHECKPOINTS).mkdir(parents=True)
            return folder
    raise AssertionError("count() has no end")
