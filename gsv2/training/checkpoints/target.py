"""Checkpoints beyond this machine: any file system that fsspec can write.

Object stores know no rename. `SHA256SUMS` is the commit marker: it goes up last and is taken
away first, and a folder without it is no checkpoint.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from gsv2.data.remote.body import public_name
from gsv2.data.remote.objects import open_filesystem
from gsv2.training.checkpoints.checkpoint import (
    CHECKPOINTS,
    SUMS,
    CheckpointDamagedError,
    aside_of,
    checkpoint_folder,
    checkpoint_name,
    parse_step,
    parse_sums,
    verify_checkpoint,
)
from gsv2.training.checkpoints.snapshot import STATE

T = TypeVar("T")

logger = logging.getLogger(__name__)


class Target:
    """The checkpoints of one run at a URL.

    Args:
        url: of the run: `s3://bucket/runs/NAME`.

    Raises:
        ValueError: nothing is known of such URLs, or a package is missing.
    """

    def __init__(self, url: str) -> None:
        self.name = public_name(url)
        self._files = open_filesystem(url)
        self._root = f"{self._files._strip_protocol(url)}/{CHECKPOINTS}"

    def steps(self) -> list[int]:
        """Return the steps that have a committed checkpoint here, ascending.

        Raises:
            OSError: the target is out of reach.
        """
        self._files.invalidate_cache()
        found = self._ask(lambda: self._files.glob(f"{self._root}/*/{SUMS}"))
        names = (path.rstrip("/").rsplit("/", 2)[-2] for path in found)
        return sorted(step for name in names if (step := parse_step(name)) is not None)

    def put(self, folder: Path, step: int) -> None:
        """Copy a whole checkpoint here.

        Raises:
            OSError: the target is out of reach, or full.
        """
        try:
            self._put(folder, step)
        except FileNotFoundError as error:  # names a path, not the target
            raise OSError(f"{self.name}: {error}") from error

    def _put(self, folder: Path, step: int) -> None:
        if step in self.steps():
            self.remove(step)
        there = self._folder(step)
        self._ask(lambda: self._files.makedirs(there, exist_ok=True))
        for file in sorted(path for path in folder.iterdir() if path.name != SUMS):
            self._put_file(file, f"{there}/{file.name}")
        # A file system that is no object store could show half of a marker under its own name.
        self._put_file(folder / SUMS, f"{there}/.tmp-{SUMS}")
        self._ask(lambda: self._files.mv(f"{there}/.tmp-{SUMS}", f"{there}/{SUMS}"))

    def fetch(self, step: int, run: Path) -> Path:
        """Copy a checkpoint into a run folder; return its folder there.

        Raises:
            CheckpointDamagedError: what came is not what was written.
            OSError: the target is out of reach, or the disk is full.
        """
        final = checkpoint_folder(run, step)
        aside, replaced = aside_of(final), aside_of(final, "old-")
        aside.mkdir(parents=True)
        there = self._folder(step)
        logger.info("fetching %s from %s", final.name, self.name)
        try:
            sums = parse_sums(self._read(f"{there}/{SUMS}"), f"{self.name}/{final.name}")
            (aside / SUMS).write_bytes(self._read(f"{there}/{SUMS}"))
            for name in sums:
                self._fetch_file(f"{there}/{name}", aside / name)
            verify_checkpoint(aside)
            if final.exists():
                final.rename(replaced)
            aside.rename(final)
        finally:
            for leftover in (aside, replaced):
                shutil.rmtree(leftover, ignore_errors=True)
        return final

    def read_state(self, step: int) -> bytes:
        """Return the content of a checkpoint's `state.json`.

        Raises:
            OSError: the target is out of reach.
        """
        return self._read(f"{self._folder(step)}/{STATE}")

    def remove(self, step: int) -> None:
        """Take a checkpoint away, its marker first.

        Raises:
            OSError: the target is out of reach.
        """
        there = self._folder(step)
        self._ask(lambda: self._files.rm_file(f"{there}/{SUMS}"))
        self._ask(lambda: self._files.rm(there, recursive=True))

    def _folder(self, step: int) -> str:
        return f"{self._root}/{checkpoint_name(step)}"

    def _put_file(self, file: Path, there: str) -> None:
        self._ask(lambda: self._files.put_file(str(file), there))

    def _fetch_file(self, there: str, file: Path) -> None:
        try:
            self._ask(lambda: self._files.get_file(there, str(file)))
        except FileNotFoundError as error:
            raise CheckpointDamagedError(f"{self.name}: {there} is missing") from error

    def _read(self, there: str) -> bytes:
        return self._ask(lambda: self._files.cat_file(there))

    def _ask(self, action: Callable[[], T]) -> T:
        try:
            return action()
        except FileNotFoundError:
            raise
        except Exception as error:  # backends raise whatever their client libraries raise
            raise OSError(f"{self.name}: {type(error).__name__}: {error}") from error


def target_of(url: str | None, run_name: str) -> Target | None:
    """Return the target of a run below `checkpoint.target`."""
    return None if url is None else Target(f"{url.rstrip('/')}/{run_name}")
