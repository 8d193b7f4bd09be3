"""Atomic, checksummed checkpoints: folders that are whole or not there.

`RUN/checkpoints/step_00001000/` is written aside, synced to disk and renamed. `SHA256SUMS` in
it (`sha256sum -c` reads it) covers every other file and is written last. What the files say is
the matter of `gsv2.training.checkpoints.snapshot`; nothing here or there is ever unpickled.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path

from gsv2.files import ASIDE, atomic_folder, clean_up
from gsv2.training.checkpoints.tensor_file import write_hashed

CHECKPOINTS = "checkpoints"
SUMS = "SHA256SUMS"
STATE = "state.json"
"""Every checkpoint has one."""
_PREFIX = "step_"
FETCHED = f"{ASIDE}fetched"
"""Name beside the checkpoints of a run: one of another run, until the next save."""

logger = logging.getLogger(__name__)


class CheckpointError(ValueError):
    """A checkpoint that cannot be used."""


class CheckpointMissingError(CheckpointError):
    """There is no checkpoint where one was asked for."""


class CheckpointDamagedError(CheckpointError):
    """The files of a checkpoint are not those that were written."""


class CheckpointMismatchError(CheckpointError):
    """A whole checkpoint, of another run than this one."""


def find_component(path: Path, name: str) -> Path:
    """Return the file `NAME.safetensors` of a run folder, a checkpoint, a bundle or a file path.

    Of a run folder, the newest checkpoint is meant in which this file is whole; of the others
    nothing is read.

    Raises:
        CheckpointMissingError: there is no such file.
        CheckpointDamagedError: there is, but not as it was written.
    """
    if path.is_file():
        return path
    file_name = f"{name}.safetensors"
    if (path / CHECKPOINTS).is_dir():
        folders = [checkpoint_folder(path, step) for step in reversed(list_steps(path))]
        found = first_whole(partial(_check_one, folder, file_name) for folder in folders)
        if found is not None:
            return found
    elif (path / SUMS).is_file():
        return _check_one(path, file_name)
    file = path / file_name
    if not file.is_file():
        raise _no_such_file(path, file_name)
    return file


def read_sums(folder: Path) -> dict[str, str]:
    """Return file name -> SHA-256 of a checkpoint.

    Raises:
        CheckpointDamagedError: there is no readable list.
    """
    try:
        return parse_sums((folder / SUMS).read_bytes(), str(folder))
    except OSError as error:
        raise CheckpointDamagedError(f"{folder}: {SUMS} cannot be read: {error}") from error


def parse_sums(content: bytes, where: str) -> dict[str, str]:
    """Return file name -> SHA-256 of the content of `SHA256SUMS`.

    Raises:
        CheckpointDamagedError: this is no such list; the message begins with `where`.
    """
    try:
        lines = content.decode().splitlines()
    except UnicodeDecodeError as error:
        raise CheckpointDamagedError(f"{where}: {SUMS} cannot be read: {error}") from error
    if not lines:
        raise CheckpointDamagedError(f"{where}: {SUMS} is empty")
    pairs = [line.partition("  ")[::2] for line in lines]
    for (_, name), line in zip(pairs, lines, strict=True):
        if not name or name != Path(name).name or name == SUMS:
            raise CheckpointDamagedError(f"{where}: {SUMS} has the line {line!r}")
    return {name: digest for digest, name in pairs}


def verify_checkpoint(folder: Path, names: Iterable[str] | None = None) -> Path:
    """Compare files with their checksums.

    Args:
        names: names of the files; None = all that the checkpoint should have.

    Returns:
        `folder`.

    Raises:
        CheckpointDamagedError: a file is missing, differs, has no checksum or cannot be read; the
            message names it.
    """
    sums = read_sums(folder)
    try:
        for name in _all_names(folder, sums) if names is None else names:
            if not (folder / name).is_file():
                raise CheckpointDamagedError(f"{folder}: {name} is missing")
            with (folder / name).open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
            if digest != sums.get(name):
                raise CheckpointDamagedError(f"{folder}: {name} does not match its checksum")
    except OSError as error:
        raise CheckpointDamagedError(f"{folder}: cannot be read: {error}") from error
    return folder


def first_whole(attempts: Iterable[Callable[[], Path]]) -> Path | None:
    """Return the first checkpoint that is whole, warning of those before it; None if none is there.

    Args:
        attempts: each returns a checkpoint that it has verified.

    Raises:
        CheckpointDamagedError: there are some, but none is whole.
    """
    damages: list[str] = []
    for attempt in attempts:
        try:
            return attempt()
        except CheckpointDamagedError as error:
            logger.warning("DAMAGED CHECKPOINT, trying the one before: %s", error)
            damages.append(str(error))
    if damages:
        raise CheckpointDamagedError(
            f"no checkpoint is whole ({'; '.join(damages)}); checkpoint.resume=none starts afresh"
        )
    return None


def write_checkpoint(run: Path, step: int, write: Callable[[Path], Mapping[str, str]]) -> Path:
    """Make the checkpoint of `step`, or leave everything as it was.

    Args:
        write: writes the files into the folder that it is given, brings them to disk, and
            returns file name -> SHA-256.

    Returns:
        The checkpoint's folder.

    Raises:
        OSError: the disk is full, or fails.
    """
    clean_checkpoints(run)
    final = checkpoint_folder(run, step)
    with atomic_folder(final) as aside:
        sums = write(aside)
        assert set(sums) == {path.name for path in aside.iterdir()}, "every file has a checksum"
        lines = "".join(f"{sums[name]}  {name}\n" for name in sorted(sums))
        write_hashed(aside / SUMS, [lines.encode()])
    return final


def clean_checkpoints(run: Path) -> None:
    """Put back or remove what a process killed while saving has left."""
    clean_up(run / CHECKPOINTS)


def list_steps(run: Path) -> list[int]:
    """Return the steps that have a checkpoint here, ascending."""
    names = (path.name for path in (run / CHECKPOINTS).glob(f"{_PREFIX}*") if path.is_dir())
    return sorted(step for name in names if (step := parse_step(name)) is not None)


def checkpoint_name(step: int) -> str:
    """Return `step_00001000`."""
    return f"{_PREFIX}{step:08d}"


def checkpoint_folder(run: Path, step: int) -> Path:
    """Return where the checkpoint of a step is, or would be."""
    return run / CHECKPOINTS / checkpoint_name(step)


def parse_step(name: str) -> int | None:
    """Return the step of a checkpoint's name; None if it is none."""
    digits = name.removeprefix(_PREFIX)
    return int(digits) if name.startswith(_PREFIX) and digits.isdecimal() else None


def _check_one(folder: Path, name: str) -> Path:
    """Return one file of a checkpoint; one that it should not have is missing, not damaged."""
    if name not in read_sums(folder) and not (folder / name).exists():
        raise _no_such_file(folder, name)
    return verify_checkpoint(folder, [name]) / name


def _all_names(folder: Path, sums: Mapping[str, str]) -> list[str]:
    """Return the files that a checkpoint should have; its list may have been cut."""
    there = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    for name in sorted({STATE, *there} - {SUMS}):
        if name not in sums:
            raise CheckpointDamagedError(f"{folder}: {SUMS} has no line for {name}")
    return list(sums)


def _no_such_file(folder: Path, name: str) -> CheckpointMissingError:
    return CheckpointMissingError(
        f"no {name} in {folder}; name a run with a checkpoint, a checkpoint, a bundle or the "
        "file itself"
    )
