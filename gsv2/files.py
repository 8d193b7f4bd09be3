"""Files and folders that are written whole or not at all, and whose errors name them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ASIDE = ".tmp-"
"""Beginning of the names of what is not whole yet."""
_OLD = f"{ASIDE}old-"
"""Beginning of the names of folders that wait to be replaced."""
_GONE = f"{ASIDE}gone-"
"""Beginning of the names of folders that are being removed."""


@contextmanager
def named_errors(path: str | os.PathLike[str], *kinds: type[Exception]) -> Iterator[None]:
    """Let errors of writing a file name it: the system's own know only a number.

    Args:
        path: file that is written inside.
        *kinds: errors by which a library says that it cannot write.

    Raises:
        OSError: as it came, with the file where it named none, or in place of one of `kinds`.
    """
    try:
        yield
    except OSError as error:
        if error.filename is not None or str(path) in str(error):
            raise
        if error.errno is None or error.strerror is None:
            raise OSError(f"{path} cannot be written: {error}") from error
        error.filename = os.fspath(path)
        raise
    except kinds as error:
        raise OSError(f"{path} cannot be written: {error}") from error


@contextmanager
def atomic_file(path: Path, *kinds: type[Exception], writer: str = "") -> Iterator[Path]:
    """Give a path to write a file at; it becomes `path`, unless an error leaves the block.

    Args:
        path: file to be; what stands there stays until the block has ended well.
        *kinds: see `named_errors`.
        writer: tells apart the processes that may write the file at once.

    Raises:
        OSError: the disk does not take it; names the file.
    """
    aside = path.with_name(f"{ASIDE}{path.name}{writer}")
    try:
        with named_errors(path, *kinds):
            yield aside
            os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file that appears under its name whole, in place of what was there.

    Args:
        path: path of the file once it is whole.
        content: bytes, or text to write as UTF-8; its lone surrogates, of names that are not
            UTF-8, become escapes.

    Raises:
        OSError: the disk does not take it; names the file, which is as it was before.
    """
    if isinstance(content, str):
        content = content.encode("utf-8", "backslashreplace")
    with atomic_file(path) as aside:
        aside.write_bytes(content)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Give a new folder to fill; it becomes `path`, unless an error leaves the block.

    What is to come is made beside its place, brought to disk and renamed. For one process at a
    time; what a killed one left aside goes.

    Raises:
        OSError: the disk is full, or fails; everything is as it was.
    """
    aside = path.with_name(f"{ASIDE}{path.name}")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        yield aside
        _sync(aside)
        replace_folder(aside, path)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def replace_folder(aside: Path, path: Path) -> None:
    """Rename a folder and bring its new name to disk; what was there before goes.

    It waits beside its place until then.

    Raises:
        OSError: it cannot be renamed, or another process has taken the place (`ENOTEMPTY`);
            what was there comes back if nothing else has taken its place.
    """
    old = path.with_name(f"{_OLD}{path.name}")
    _put_back(old)
    if path.exists():
        path.rename(old)
    try:
        aside.rename(path)
        _sync(path.parent)
    finally:
        _put_back(old)


def remove_folder(folder: Path) -> None:
    """Remove a folder in one step, so that no half of it can be found."""
    gone = folder.with_name(f"{_GONE}{folder.name}")
    folder.rename(gone)
    shutil.rmtree(gone)


def clean_up(parent: Path) -> None:
    """Put back or remove the folders below `parent` that a killed process has left aside."""
    for leftover in sorted(parent.glob(f"{ASIDE}*")):
        if leftover.name.startswith(_OLD):
            _put_back(leftover)
        else:
            shutil.rmtree(leftover)


def _put_back(old: Path) -> None:
    """Give a folder that waits to be replaced its place back; remove it if another one is there."""
    path = old.with_name(old.name.removeprefix(_OLD))
    if path.exists():
        shutil.rmtree(old, ignore_errors=True)
    elif old.exists():
        old.rename(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with named_errors(path):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
