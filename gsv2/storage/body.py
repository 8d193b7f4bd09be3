"""Body of a remote file from some byte on, as every way to it offers it, and errors of servers.

HTTP is in `http`, object stores in `object_store`, commands in `command`; `stream` retries.
"""

from __future__ import annotations

from typing import Protocol
from urllib.parse import urlsplit


class RefusedError(OSError):
    """A remote that says no: asking again does not help."""


class BusyError(OSError):
    """A remote that asks to come back later.

    Args:
        reason: what it said.
        wait_sec: how long it asked to wait; None = not said.
    """

    def __init__(self, reason: str, wait_sec: float | None = None) -> None:
        super().__init__(reason)
        self.wait_sec = wait_sec


class Body(Protocol):
    """The content of a file from some byte on."""

    @property
    def start(self) -> int:
        """Byte that the first `read` returns: 0 where the remote cannot start elsewhere."""

    @property
    def size(self) -> int | None:
        """Bytes of the whole file; None = not known before its end."""

    @property
    def version(self) -> str | None:
        """Changes with the content of the file; None = unknown."""

    @property
    def can_seek(self) -> bool:
        """Whether the remote can start at any byte."""

    def read(self, limit: int) -> bytes:
        """Return 1 to `limit` bytes; b"" at the end.

        Raises:
            OSError: the read failed.
        """

    def close(self) -> None:
        """Give up the rest."""

    def interrupt(self) -> None:
        """Make a `read` that waits end soon; called from another thread."""


def public_name(location: str) -> str:
    """Return a location as it may stand in logs: without passwords and signatures."""
    if "://" not in location:
        return location
    parts = urlsplit(location)
    host = parts.netloc.rpartition("@")[2]
    query = "?..." if parts.query else ""
    return f"{parts.scheme}://{host}{parts.path}{query}"
