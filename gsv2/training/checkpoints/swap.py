"""Folders that are whole or not there, whenever a process is killed.

What is to come is made beside its place, brought to disk and renamed. What it replaces waits beside
it meanwhile, and comes back if nothing has taken its place.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gsv2.files import named_errors

ASIDE = ".tmp-"
"""How names begin that are never taken for those of a checkpoint."""
_OLD = f"{ASIDE}old-"
_GONE = f"{ASIDE}gone-"


@contextmanager
def put_in_place(final: Path) -> Iterator[Path]:
    """Give a new folder to fill inside; it becomes `final`, unless an error leaves the block.

    Raises:
        OSError: the disk is full, or fails; everything is as it was.
    """
    aside, old = (final.with_name(f"{prefix}{final.name}") for prefix in (ASIDE, _OLD))
    aside.mkdir(parents=True)
    try:
        yield aside
        _sync(aside)
        if final.exists():
            final.rename(old)
        aside.rename(final)
        _sync(final.parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        if old.exists():
            _put_back(old)


def take_away(folder: Path) -> None:
    """Remove a folder in one step, so that no half of it can be found."""
    gone = folder.with_name(f"{_GONE}{folder.name}")
    folder.rename(gone)
    shutil.rmtree(gone)


def clean_up(parent: Path) -> None:
    """Put back or remove what a process killed in `put_in_place` or `take_away` has left."""
    for leftover in sorted(parent.glob(f"{ASIDE}*")):
        if leftover.name.startswith(_OLD):
            _put_back(leftover)
        else:
            shutil.rmtree(leftover)


def _put_back(old: Path) -> None:
    """Give a folder its place back; remove it if another one is there."""
    final = old.with_name(old.name.removeprefix(_OLD))
    if final.exists():
        shutil.rmtree(old, ignore_errors=True)
    else:
        old.rename(final)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with named_errors(path):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
