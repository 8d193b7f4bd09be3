"""One launch at a time in a run folder.

Two launches would truncate each other's records and take each other's checkpoints away. A record
lock of the kernel on `RUN/lock` ends with the process that holds it, however that ends, is not
inherited by its workers, and holds across machines on NFS and other file systems with locks.
What the file says is for people. It is removed at the end; one that a killed process has left is
not locked, and in nobody's way.

A file server keeps the lock of a machine that died for as long as its lease, so a launch that
finds one whose holder is not alive here tries again for a while.
"""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from gsv2.training.telemetry.status import identify_process, is_alive

LOCK_FILE = "lock"
PATIENCE_SEC = 180.0
"""How long a launch waits for a lock of another machine, or of a process that is gone: above the
leases and grace periods of NFS servers (90 s)."""
_RETRY_SEC = 1.0
_MODE = 0o644
_TRIES = 9
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
_HELD = (errno.EACCES, errno.EAGAIN)  # POSIX allows either

logger = logging.getLogger(__name__)


class RunInUseError(ValueError):
    """Another launch works in the run folder.

    Args:
        message: says who.
        is_alive: it is a process of this machine that runs.
    """

    def __init__(self, message: str, *, is_alive: bool = True) -> None:
        super().__init__(message)
        self.is_alive = is_alive


@contextmanager
def sole_launch(run: Path) -> Iterator[None]:
    """Keep other processes out of a run folder, which is made if need be.

    Holds against other processes only: within one, a second call would end the first one's lock.

    Args:
        run: run folder.

    Raises:
        RunInUseError: another process has it, or seems to for `PATIENCE_SEC`; the message names
            that process.
        OSError: the folder cannot be written.
    """
    file = run / LOCK_FILE
    descriptor = _open_locked(file)
    try:
        who = {**identify_process(), "since": _now()}
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, (json.dumps(who) + "\n").encode(), 0)
        yield
    finally:
        # First the name, then the lock: whoever opened this file meanwhile sees that it is gone.
        with suppress(OSError):
            file.unlink()
        os.close(descriptor)
        with suppress(OSError):  # a launch that was refused leaves no empty folder behind
            run.rmdir()


def _open_locked(file: Path) -> int:
    deadline = time.monotonic() + PATIENCE_SEC
    is_told = False
    while True:
        try:
            return _try_locked(file)
        except RunInUseError as error:
            if error.is_alive or time.monotonic() > deadline:
                raise
            if not is_told:
                logger.warning("trying again for up to %.0f s: %s", PATIENCE_SEC, error)
            is_told = True
        time.sleep(_RETRY_SEC)


def _try_locked(file: Path) -> int:
    while True:
        descriptor = _open(file)
        try:
            _lock(descriptor, file)
            if _is_at(descriptor, file):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _open(file: Path) -> int:
    for is_last in (False,) * _TRIES + (True,):
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            return os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
        except OSError as error:
            # Another launch may take the empty folder away between the two lines.
            if is_last or not isinstance(error, FileNotFoundError):
                raise OSError(f"run folder {file.parent} cannot be used: {error}") from error
    raise AssertionError("the last try returns or raises")


def _lock(descriptor: int, file: Path) -> None:
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _HELD:
            raise _refusal(descriptor, file) from None
        if error.errno not in _NO_LOCKS:
            raise
        logger.warning(
            "%s cannot be locked (%s): see to it that nobody else starts this run",
            file, os.strerror(error.errno),
        )  # fmt: skip


def _refusal(descriptor: int, file: Path) -> RunInUseError:
    holder, is_here = "another process", False
    with suppress(ValueError, KeyError, TypeError):  # it has not written it yet
        who = json.loads(os.pread(descriptor, 4096, 0))
        holder = f"process {who['pid']} on {who['host']}, since {who['since']}"
        is_here = bool(is_alive(who))
    message = (
        f"run folder {file.parent} is in use by {holder}; wait for it, stop it, or use another "
        "run.name"
    )
    return RunInUseError(message, is_alive=is_here)


def _is_at(descriptor: int, file: Path) -> bool:
    """Tell whether this file is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(descriptor), file.stat())
    except FileNotFoundError:
        return False


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
