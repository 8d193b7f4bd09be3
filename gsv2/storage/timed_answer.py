"""HTTP answers whose status and headers must all be there within one time-out.

A socket's own time-out counts silence, so a server that gives a byte now and then could take hours
for its headers. The content behind them has its rate (`gsv2.storage.rate`); that of a redirection,
which requests reads by itself, has the time and the size of headers.
"""

from __future__ import annotations

import io
import socket
import time
from http.client import HTTPResponse
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

MAX_HEADER_BYTES = 8 << 20
"""More than what http.client takes: 100 lines of 64 KiB."""
_REDIRECTIONS = range(300, 400)


class SlowHeadersError(TimeoutError):
    """An answer that had begun, but not come to its content in time."""


class HeaderReader(io.RawIOBase):
    """Reads a socket, up to a deadline until it is released.

    Args:
        raw: what reads the socket.
        sock: the socket, whose time-out at this moment is the time that is given; None = for ever.
    """

    def __init__(self, raw: io.RawIOBase, sock: socket.socket) -> None:
        self._raw, self._sock = raw, sock
        self._limit_sec = sock.gettimeout()
        self._deadline = None if self._limit_sec is None else time.monotonic() + self._limit_sec
        self._num_bytes = 0
        self._is_released = False

    def release(self) -> None:
        """Give the rest as long as each read of it takes."""
        if not self._is_released:
            self._is_released = True
            self._sock.settimeout(self._limit_sec)

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Read what is there.

        Raises:
            TimeoutError: nothing came, or not all of it.
            OSError: there is no end to it.
        """
        if self._is_released:
            return self._raw.readinto(buffer)
        if self._deadline is not None:
            self._sock.settimeout(max(self._deadline - time.monotonic(), 1e-3))
        try:
            count = self._raw.readinto(buffer)
        except TimeoutError as error:
            if not self._num_bytes:
                raise
            raise SlowHeadersError(
                f"the server gave {self._num_bytes} bytes in {self._limit_sec:g} s "
                "(data.remote.timeout_sec), and no end of its headers"
            ) from error
        self._num_bytes += count or 0
        if self._num_bytes > MAX_HEADER_BYTES:
            raise OSError(f"the server's headers have more than {MAX_HEADER_BYTES} bytes")
        return count

    def fileno(self) -> int:
        """Return the descriptor of the socket."""
        return self._raw.fileno()

    def close(self) -> None:
        """Close what reads the socket."""
        if not self.closed:
            self._raw.close()
        super().close()


class TimedAnswer(HTTPResponse):
    """An answer with a deadline for its headers."""

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self._reader = HeaderReader(self.fp.detach(), sock)
        self.fp = io.BufferedReader(self._reader)

    def begin(self) -> None:
        """Read status and headers."""
        super().begin()
        if self.status not in _REDIRECTIONS:
            self._reader.release()


class _Connection(HTTPConnection):
    response_class = TimedAnswer


class _SecureConnection(HTTPSConnection):
    response_class = TimedAnswer


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


class TimedAdapter(HTTPAdapter):
    """Connections whose answers have a deadline for their headers."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """See `HTTPAdapter`."""
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}

    def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
        """See `HTTPAdapter`."""
        manager = super().proxy_manager_for(*args, **options)
        manager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}
        return manager
