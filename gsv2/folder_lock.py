"""Lock of a folder: one process at a time works at it.

A record lock of the kernel on a file ends with the process that holds it, however that ends, is
not inherited by its workers, and holds across machines on NFS and other file systems with locks.
What the file says is for people. It is removed at the end; one that a killed process has left is
not locked, and in nobody's way.

A file server keeps the lock of a machine that died for as long as its lease, so a process that
finds one whose holder is not alive here tries again for a while.
"""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

PATIENCE_SEC = 180.0
"""How long a process waits for a lock of another machine, or of a process that is gone: above the
leases and grace periods of NFS servers (90 s)."""
RETRY_SEC = 1.0
_MODE = 0o644
_TRIES = 9
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
_HELD = (errno.EACCES, errno.EAGAIN)  # POSIX allows either

logger = logging.getLogger(__name__)


class InUseError(ValueError):
    """Another process works at the folder.

    Args:
        message: says who.
        is_alive: whether it is a process of this machine that runs.
    """

    def __init__(self, message: str, *, is_alive: bool = True) -> None:
        super().__init__(message)
        self.is_alive = is_alive


@dataclass(frozen=True, kw_only=True)
class FolderLock:
    """The lock of one folder."""

    file: Path
    """The locked file; its folder is made if need be."""
    folder: str
    """What is locked, for messages: `run folder runs/a`."""
    advice: str
    """What a second process can do."""
    patience_sec: float = PATIENCE_SEC
    retry_sec: float = RETRY_SEC

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes out.

        Holds against other processes only: within one, a second call would end the first one's
        lock.

        Raises:
            InUseError: another process has it, or seems to for `patience_sec`; the message names
                that process.
            OSError: the file cannot be written.
        """
        descriptor = _open_locked(self)
        try:
            who = {**identify_process(), "since": _now()}
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, (json.dumps(who) + "\n").encode(), 0)
            yield
        finally:
            # First the name, then the lock: whoever opened this file meanwhile sees it is gone.
            with suppress(OSError):
                self.file.unlink()
            os.close(descriptor)


def _open_locked(lock: FolderLock) -> int:
    deadline = time.monotonic() + lock.patience_sec
    is_logged = False
    while True:
        try:
            return _try_locked(lock)
        except InUseError as error:
            if error.is_alive or time.monotonic() > deadline:
                raise
            if not is_logged:
                logger.warning("trying again for up to %.0f s: %s", lock.patience_sec, error)
            is_logged = True
        time.sleep(lock.retry_sec)


def _try_locked(lock: FolderLock) -> int:
    while True:
        descriptor = _open(lock)
        try:
            _lock(descriptor, lock)
            if _is_at(descriptor, lock.file):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _open(lock: FolderLock) -> int:
    for is_last in (False,) * _TRIES + (True,):
        try:
            lock.file.parent.mkdir(parents=True, exist_ok=True)
            return os.open(lock.file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
        except OSError as error:
            # Another process may take the empty folder away between the two lines.
            if is_last or not isinstance(error, FileNotFoundError):
                raise OSError(f"{lock.folder} cannot be used: {error}") from error
    raise AssertionError("the last try returns or raises")


def _lock(descriptor: int, lock: FolderLock) -> None:
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _HELD:
            raise _refusal(descriptor, lock) from None
        if error.errno not in _NO_LOCKS:
            raise
        logger.warning(
            "%s cannot be locked (%s): see to it that nobody else works at it",
            lock.file, os.strerror(error.errno),
        )  # fmt: skip


def _refusal(descriptor: int, lock: FolderLock) -> InUseError:
    holder, is_here = "another process", False
    with suppress(ValueError, KeyError, TypeError):  # it has not written it yet
        who = json.loads(os.pread(descriptor, 4096, 0))
        holder = f"process {who['pid']} on {who['host']}, since {who['since']}"
        is_here = bool(is_alive(who))
    message = f"{lock.folder} is in use by {holder}; {lock.advice}"
    return InUseError(message, is_alive=is_here)


def _is_at(descriptor: int, file: Path) -> bool:
    """Tell whether this file is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(descriptor), file.stat())
    except FileNotFoundError:
        return False


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def identify_process() -> dict[str, Any]:
    """Return what `is_alive` knows this process by."""
    process = psutil.Process()
    return {"host": socket.gethostname(), "pid": process.pid, "started": process.create_time()}


def is_alive(status: Mapping[str, Any]) -> bool | None:
    """Tell whether the process of a status still runs; None if it was on another machine."""
    if status["host"] != socket.gethostname():
        return None
    try:
        return abs(psutil.Process(status["pid"]).create_time() - status["started"]) < 1.0
    except psutil.NoSuchProcess:
        return False
