"""Choice of the checkpoint that a run starts from."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path

from gsv2.storage.body import public_name
from gsv2.training.checkpoints.checkpoint import (
    CHECKPOINTS,
    FETCHED,
    SUMS,
    CheckpointMissingError,
    checkpoint_folder,
    first_whole,
    list_steps,
    parse_step,
    verify_checkpoint,
)
from gsv2.training.checkpoints.mirror import CheckpointMirror

logger = logging.getLogger(__name__)


def find_checkpoint(run: Path, resume: str, mirror: CheckpointMirror | None = None) -> Path | None:
    """Return the checkpoint, whole and on this machine, that a run starts from.

    Args:
        run: run folder; a checkpoint from elsewhere is copied into it.
        resume: `auto`, `none`, or the path or URL of a checkpoint or of another run.
        mirror: place of copies of the run's checkpoints.

    Returns:
        Its folder; None to start afresh.

    Raises:
        CheckpointMissingError: what is given has no checkpoint.
        CheckpointDamagedError: the checkpoint given, or every one of the run, is damaged.
        OSError: the target is out of reach: nobody knows whether it has a newer one.
    """
    if resume == "none":
        return None
    if resume == "auto":
        return _newest_whole(run, mirror)
    found = _fetch(run, resume) if "://" in resume else _given(Path(resume))
    if found is None:
        raise CheckpointMissingError(f"checkpoint.resume: no checkpoint at {resume!r}")
    return found


def is_own(run: Path, resume: str, mirror: CheckpointMirror | None = None) -> bool:
    """Tell whether the checkpoint that `find_checkpoint` returns is of this run, not of another."""
    if resume == "auto":
        return True
    if "://" in resume:
        return mirror is not None and f"{public_name(resume)}/".startswith(f"{mirror.name}/")
    return Path(resume).resolve().is_relative_to(run.resolve())


def send_missing(mirror: CheckpointMirror, folder: Path, step: int, *, is_last: bool) -> None:
    """Copy the checkpoint that a run goes on from to the target, if an earlier launch could not.

    Args:
        is_last: whether no other checkpoint will follow; else a failure is only told.

    Raises:
        OSError: the target is out of reach, or full.
    """
    try:
        if step not in mirror.steps():
            logger.info("copying %s to %s, where it is missing", folder.name, mirror.name)
            mirror.put(folder, step)
    except OSError as error:
        if is_last:
            raise
        logger.error("CHECKPOINT COPY FAILED: %s is here alone: %s", folder.name, error)


def _given(path: Path) -> Path | None:
    if (path / CHECKPOINTS).is_dir():
        return _newest_whole(path, None)
    is_one = path.is_dir() and (parse_step(path.name) is not None or (path / SUMS).exists())
    return verify_checkpoint(path) if is_one else None


def _fetch(run: Path, url: str) -> Path | None:
    """Copy the checkpoint at a URL, or the newest whole one of the run there."""
    beside = run / CHECKPOINTS / FETCHED
    parent, _, last = url.rstrip("/").rpartition("/")
    step = parse_step(last)
    if step is not None:
        there = CheckpointMirror(parent.removesuffix(f"/{CHECKPOINTS}"))
        return there.fetch(step, beside) if step in there.steps() else None
    there = CheckpointMirror(url)
    return first_whole(partial(there.fetch, step, beside) for step in reversed(there.steps()))


def _newest_whole(run: Path, mirror: CheckpointMirror | None) -> Path | None:
    """Return the newest checkpoint that is whole, here or, copied, from the target."""
    here = set(list_steps(run))
    there = set(mirror.steps()) if mirror else set()
    attempts: list[Callable[[], Path]] = []
    for step in sorted(here | there, reverse=True):
        if step in here:
            attempts.append(partial(verify_checkpoint, checkpoint_folder(run, step)))
        if mirror and step in there:
            attempts.append(partial(mirror.fetch, step, run))
    return first_whole(attempts)
