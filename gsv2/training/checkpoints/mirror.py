"""Mirror of a run's checkpoints beyond this machine: any file system that fsspec can write.

Object stores know no rename. `SHA256SUMS` is the commit marker: it goes up last and is taken
away first, and a folder without it is no checkpoint.
"""

from __future__ import annotations

import logging
import secrets
from pathlib import Path
from tempfile import NamedTemporaryFile

from gsv2.files import ASIDE, atomic_folder
from gsv2.storage.body import public_name
from gsv2.storage.object_store import ObjectFolder
from gsv2.training.checkpoints.checkpoint import (
    CHECKPOINTS,
    STATE,
    SUMS,
    CheckpointDamagedError,
    checkpoint_folder,
    checkpoint_name,
    parse_step,
    verify_checkpoint,
)

logger = logging.getLogger(__name__)


class CheckpointMirror:
    """Copies of the checkpoints of one run at a URL, that of `checkpoint.target`.

    Args:
        url: URL of the run: `s3://bucket/runs/NAME`.

    Raises:
        ValueError: nothing is known of such URLs, or a package is missing.
    """

    def __init__(self, url: str) -> None:
        self.name = public_name(url)
        self._there = ObjectFolder(f"{url}/{CHECKPOINTS}")

    def check_writable(self) -> None:
        """Write, move, read and remove a file where the checkpoints are.

        Raises:
            OSError: that cannot be done; the message names `checkpoint.target`.
        """
        probe, content = f"{ASIDE}{secrets.token_hex(4)}", secrets.token_bytes(16)
        try:
            with NamedTemporaryFile() as file:
                Path(file.name).write_bytes(content)
                self._there.make(probe)
                self._put_marker(Path(file.name), probe)
            came = self._there.read(f"{probe}/{SUMS}")
            self._clear(probe)
        except OSError as error:
            raise OSError(f"checkpoint.target cannot be written: {self.name}: {error}") from error
        if came != content:
            raise OSError(f"checkpoint.target: {self.name}: what was read is not what was written")

    def steps(self) -> list[int]:
        """Return the steps that have a committed checkpoint here, ascending.

        Raises:
            OSError: the target is out of reach.
        """
        names = self._there.folders_with(SUMS)
        return sorted(step for name in names if (step := parse_step(name)) is not None)

    def clean(self) -> None:
        """Remove what a process killed while copying or removing a checkpoint has left.

        Raises:
            OSError: the target is out of reach.
        """
        whole = set(self.steps())
        for name in self._there.names():
            step = parse_step(name)
            if step is not None and step not in whole:
                logger.info("removing what was left of %s at %s", name, self.name)
                self._clear(checkpoint_name(step))

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
        name = checkpoint_name(step)
        self._clear(name)
        self._there.make(name)
        for file in sorted(path for path in folder.iterdir() if path.name != SUMS):
            self._there.put(file, f"{name}/{file.name}")
        self._put_marker(folder / SUMS, name)

    def fetch(self, step: int, run: Path) -> Path:
        """Copy a checkpoint into a run folder; return its folder there.

        Raises:
            CheckpointDamagedError: what came is not what was written.
            OSError: the target is out of reach, or the disk is full.
        """
        final = checkpoint_folder(run, step)
        logger.info("fetching %s from %s", final.name, self.name)
        try:
            with atomic_folder(final) as aside:
                for name in self._there.names(final.name):
                    if not name.startswith(ASIDE):
                        self._fetch_file(f"{final.name}/{name}", aside / name)
                verify_checkpoint(aside)
        except CheckpointDamagedError as error:
            raise CheckpointDamagedError(f"from {self.name}: {error}") from error
        return final

    def read_state(self, step: int) -> bytes:
        """Return the content of a checkpoint's `state.json`.

        Raises:
            OSError: the target is out of reach.
        """
        return self._there.read(f"{checkpoint_name(step)}/{STATE}")

    def remove(self, step: int) -> None:
        """Take a checkpoint away, its marker first.

        Raises:
            OSError: the target is out of reach.
        """
        self._clear(checkpoint_name(step))

    def _clear(self, folder: str) -> None:
        """Remove whatever is in a folder, the marker first."""
        self._there.remove(f"{folder}/{SUMS}")
        self._there.remove_folder(folder)

    def _put_marker(self, file: Path, folder: str) -> None:
        # A file system that is no object store could show half of a marker under its own name.
        self._there.put(file, f"{folder}/{ASIDE}{SUMS}")
        self._there.move(f"{folder}/{ASIDE}{SUMS}", f"{folder}/{SUMS}")

    def _fetch_file(self, path: str, file: Path) -> None:
        try:
            self._there.fetch(path, file)
        except FileNotFoundError as error:
            raise CheckpointDamagedError(f"{self.name}: {path} is missing") from error


def mirror_of(url: str | None, run_name: str) -> CheckpointMirror | None:
    """Return the mirror of a run below `checkpoint.target`."""
    return None if url is None else CheckpointMirror(f"{url.rstrip('/')}/{run_name}")


def try_mirror(url: str | None, run_name: str) -> str:
    """Check the mirror of a run, if there is one; return what was found.

    Raises:
        ValueError: nothing is known of such URLs.
        OSError: the target cannot be written.
    """
    mirror = mirror_of(url, run_name)
    if mirror is None:
        return "none; checkpoints stay in the run folder"
    mirror.check_writable()
    return f"{mirror.name}: written, moved, read, removed"
