"""Atomic, checksummed checkpoints: folders that are whole or not there.

`RUN/checkpoints/step_00001000/` is written aside, synced to disk and renamed. `SHA256SUMS` in
it (`sha256sum -c` reads it) covers every other file. What the files say is the matter of
`gsv2.training.snapshot`; nothing here or there is ever unpickled.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

CHECKPOINTS = "checkpoints"
SUMS = "SHA256SUMS"
_PREFIX = "step_"
_ASIDE = ".tmp-"

logger = logging.getLogger(__name__)


class CheckpointError(ValueError):
    """A checkpoint that cannot be used."""


class CheckpointMissingError(CheckpointError):
    """There is no checkpoint where one was asked for."""


class CheckpointDamagedError(CheckpointError):
    """The files of a checkpoint are not those that were written."""


class CheckpointMismatchError(CheckpointError):
    """A whole checkpoint, of another run than this one."""


@dataclass(frozen=True, kw_only=True)
class CheckpointConfig:
    """The `checkpoint` section."""

    every_steps: int = 1000
    """Steps between checkpoints; the last step always has one."""
    keep_last: int = 3
    """Newest checkpoints to keep."""
    resume: str = "auto"
    """`auto` (newest whole checkpoint of the run, if any), `none`, or a checkpoint folder."""

    def __post_init__(self) -> None:
        """Check the values that no type can."""
        for name in ("every_steps", "keep_last"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"checkpoint.{name} must be at least 1, but is {getattr(self, name)}"
                )


def find_component(path: Path, name: str) -> Path:
    """Return the file `NAME.safetensors` of a run folder, a checkpoint, a bundle or a file path.

    Of a run folder, the newest whole checkpoint is meant.

    Raises:
        CheckpointMissingError: there is no such file.
        CheckpointDamagedError: the run has checkpoints, but none is whole.
    """
    if path.is_file():
        return path
    folder = path
    if (path / CHECKPOINTS).is_dir():
        folder = find_checkpoint(path, "auto") or path
    file = folder / f"{name}.safetensors"
    if not file.is_file():
        raise CheckpointMissingError(
            f"no {name}.safetensors in {folder}; name a run with a checkpoint, a checkpoint, "
            "a bundle or the file itself"
        )
    return file


def find_checkpoint(run: Path, resume: str) -> Path | None:
    """Return the checkpoint that a run starts from; None to start afresh.

    Args:
        run: run folder.
        resume: `auto`, `none`, or the path of a checkpoint or of another run.

    Raises:
        CheckpointMissingError: the path given has no checkpoint.
        CheckpointDamagedError: the checkpoint given, or every one of the run, is damaged.
    """
    if resume == "none":
        return None
    if resume == "auto":
        return _newest_whole(run)
    path = Path(resume)
    found = _newest_whole(path) if (path / CHECKPOINTS).is_dir() else path
    if found is None or not found.is_dir():
        raise CheckpointMissingError(f"checkpoint.resume: no checkpoint at {resume}")
    verify_checkpoint(found)
    return found


def verify_checkpoint(folder: Path) -> None:
    """Compare every file with its checksum.

    Raises:
        CheckpointDamagedError: a file is missing or differs; the message names it.
    """
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointDamagedError(f"{folder}: {SUMS} cannot be read: {error}") from error
    if not lines:
        raise CheckpointDamagedError(f"{folder}: {SUMS} is empty")
    for line in lines:
        digest, _, name = line.partition("  ")
        file = folder / Path(name).name
        if not name or not file.is_file():
            raise CheckpointDamagedError(f"{folder}: {name or line!r} is missing")
        if _sha256(file) != digest:
            raise CheckpointDamagedError(f"{folder}: {name} does not match its checksum")


def write_checkpoint(
    run: Path, step: int, write: Callable[[Path], None], *, keep_last: int
) -> Path:
    """Make the checkpoint of `step`, or leave everything as it was.

    Older checkpoints beyond `keep_last` are removed. So are those of later steps: they belong
    to a past that this run has left by resuming before them.

    Args:
        run: run folder.
        step: optimizer steps done.
        write: writes the files into the folder that it is given.
        keep_last: newest checkpoints to keep, this one included.

    Returns:
        The checkpoint's folder.
    """
    clean_checkpoints(run)
    parent = run / CHECKPOINTS
    final = parent / f"{_PREFIX}{step:08d}"
    aside = parent / f"{_ASIDE}{final.name}"
    aside.mkdir(parents=True)
    try:
        write(aside)
        _seal(aside)
        if final.exists():
            _remove(final)
        aside.rename(final)
        _sync(parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    kept = [path for path in _list(run) if _step(path) <= step][:keep_last]
    for path in _list(run):
        if path not in kept:
            _remove(path)
    return final


def clean_checkpoints(run: Path) -> None:
    """Remove what a process killed while saving has left."""
    for leftover in (run / CHECKPOINTS).glob(f"{_ASIDE}*"):
        shutil.rmtree(leftover)


def _newest_whole(run: Path) -> Path | None:
    """Return the newest checkpoint that is whole; None if there is no checkpoint at all."""
    damages: list[str] = []
    for folder in _list(run):
        try:
            verify_checkpoint(folder)
        except CheckpointDamagedError as error:
            logger.warning("DAMAGED CHECKPOINT, trying the one before: %s", error)
            damages.append(str(error))
        else:
            return folder
    if damages:
        raise CheckpointDamagedError(
            f"{run}: no checkpoint is whole ({'; '.join(damages)}); "
            "checkpoint.resume=none starts afresh"
        )
    return None


def _list(run: Path) -> Sequence[Path]:
    """Return the checkpoints of a run, newest first."""
    folders = [
        path
        for path in (run / CHECKPOINTS).glob(f"{_PREFIX}*")
        if path.is_dir() and path.name.removeprefix(_PREFIX).isdecimal()
    ]
    return sorted(folders, key=_step, reverse=True)


def _step(folder: Path) -> int:
    return int(folder.name.removeprefix(_PREFIX))


def _seal(folder: Path) -> None:
    """Write the checksums and bring everything to disk."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    sums = "".join(f"{_sha256(file)}  {file.name}\n" for file in files)
    (folder / SUMS).write_text(sums, encoding="utf-8")
    for file in (*files, folder / SUMS, folder):
        _sync(file)


def _remove(folder: Path) -> None:
    """Take a checkpoint away in one step, so that no half of it can be found."""
    aside = folder.with_name(f"{_ASIDE}old-{folder.name}")
    folder.rename(aside)
    shutil.rmtree(aside)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
