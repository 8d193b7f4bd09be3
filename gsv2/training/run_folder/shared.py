"""Shared run folder: all ranks see it, as each reads the checkpoint that the run goes on from."""

from __future__ import annotations

import secrets
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

from gsv2.files import write_atomically
from gsv2.training.distributed.ranks import Distributed

SEEN_SEC = 20.0
"""NFS keeps what it knows of a folder for so long, at most."""


class SharedFolderError(ValueError):
    """A run folder that is another one on another machine."""


def check_writable(folder: Path) -> None:
    """Write a file in a folder as a checkpoint is written; leaves no trace.

    Raises:
        OSError: it cannot be written.
    """
    content = secrets.token_hex()
    probe = folder / f".probe-{content[:8]}"
    _remove(probe, _write_aside(probe, content))


def check_shared(ranks: Distributed, folder: Path, timeout_sec: float = SEEN_SEC) -> None:
    """Write a file in the run folder as a checkpoint is written, and look for it on all ranks.

    It is gone afterwards, and so are folders that had to be made. Collective.

    Raises:
        SharedFolderError: not every rank sees it; the message names `run.dir`.
        OSError: it cannot be written.
    """
    content = ranks.broadcast(secrets.token_hex())
    probe = folder / f".probe-{content[:8]}"
    made = ranks.on_main(partial(_write_aside, probe, content))
    try:
        seen = ranks.gather(_appears(probe, content, timeout_sec))
    finally:
        ranks.on_main(partial(_remove, probe, made))
    blind = [rank for rank, sees in enumerate(seen) if not sees]
    if blind:
        raise SharedFolderError(
            f"{folder} of the main rank is not seen by ranks {blind}: run.dir must be on storage "
            "that all machines share"
        )


def _write_aside(probe: Path, content: str) -> list[Path]:
    """Write and rename; return the folders that had to be made, the innermost first."""
    folder = probe.parent
    try:
        made = [path for path in (folder, *folder.parents) if not path.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(probe, content)
    except OSError as error:
        raise OSError(f"run.dir: {folder} cannot be written: {error}") from error
    return made


def _remove(probe: Path, made: list[Path]) -> None:
    with suppress(OSError):  # NFS may still hold what another machine has open
        probe.unlink()
        for folder in made:
            folder.rmdir()


def _appears(probe: Path, content: str, timeout_sec: float) -> bool:
    deadline = time.monotonic() + timeout_sec
    while True:
        with suppress(OSError):
            if probe.read_text(encoding="ascii") == content:
                return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
