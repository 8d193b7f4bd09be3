"""Lock of a run folder: one launch at a time.

Two launches would truncate each other's records and take each other's checkpoints away.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gsv2.folder_lock import PATIENCE_SEC, FolderLock

LOCK_FILE = "lock"
_RETRY_SEC = 1.0


@contextmanager
def sole_launch(run: Path) -> Iterator[None]:
    """Keep other processes out of a run folder, which is made if need be.

    Holds against other processes only: within one, a second call would end the first one's lock.

    Raises:
        InUseError: another process has it, or seems to for `PATIENCE_SEC`; the message names
            that process.
        OSError: the folder cannot be written.
    """
    lock = FolderLock(
        file=run / LOCK_FILE,
        folder=f"run folder {run}",
        advice="wait for it, stop it, or use another run.name",
        patience_sec=PATIENCE_SEC,
        retry_sec=_RETRY_SEC,
    )
    try:
        with lock.held():
            yield
    finally:
        with suppress(OSError):  # a launch that was refused leaves no empty folder behind
            run.rmdir()
