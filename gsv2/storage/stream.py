"""Stream of one remote file, read in sequence: a read that fails goes on at the byte it reached.

The ways to a file are `gsv2.storage.body.Body` objects that know nothing of retries.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable

from gsv2.storage.body import Body, BusyError, RefusedError
from gsv2.storage.config import RemoteConfig
from gsv2.storage.rate import RateMeter

_CHUNK = 64 << 10
"""Bytes asked for at once; a broken read loses at most as many."""
_FAR = 1 << 20
"""Bytes from which on a new request is cheaper than reading what is not wanted."""
_MAX_WAIT_SEC = 60.0
"""Longest wait before a retry, unless a server asks for more."""

logger = logging.getLogger(__name__)
_jitter = random.SystemRandom()


class RemoteStream:
    """Reads a remote file from one byte on; only `interrupt` may come from another thread.

    Args:
        name: name of the file, for messages.
        open_body: byte -> the content from there on (or from 0); raises OSError.
        config: number of retries, and the waits between them.
        position: first byte to read.
    """

    def __init__(
        self,
        name: str,
        open_body: Callable[[int], Body],
        config: RemoteConfig,
        position: int = 0,
    ) -> None:
        self.name = name
        self._open_body = open_body
        self._config = config
        self._body: Body | None = None
        self._arrived = position  # bytes before it came, or were passed over
        self._buffer = memoryview(b"")  # the last of them, not handed out yet
        self._seen: tuple[int | None, str | None] = (None, None)
        self._failures = 0
        self._meter = RateMeter(config.min_bytes_per_sec, config.rate_window_sec)
        self._closed = threading.Event()

    def __enter__(self) -> RemoteStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def position(self) -> int:
        """Byte that is read next."""
        return self._arrived - len(self._buffer)

    def read(self, size: int) -> bytes:
        """Return the next `size` bytes, fewer only where the file ends.

        Raises:
            FileNotFoundError: there is no such file.
            RefusedError: the remote does not hand it out, or the file changed since its first byte.
            OSError: it stays unreadable after all retries.
        """
        parts = bytearray()
        while len(parts) < size and (chunk := self.read_some(size - len(parts))):
            parts += chunk
        return bytes(parts)

    def read_some(self, limit: int) -> memoryview:
        """Return the next 1 to `limit` bytes, none at the end of the file; raises as `read`."""
        self._fill()
        chunk, self._buffer = self._buffer[:limit], self._buffer[limit:]
        return chunk

    def skip(self, size: int) -> None:
        """Pass over `size` bytes, by a new request where that is cheaper; raises as `read`."""
        known, self._buffer = self._buffer, self._buffer[size:]
        size -= len(known) - len(self._buffer)
        if self._body is None or (size > _FAR and self._body.can_seek):
            if size:
                self._drop()
            self._arrived += size
            return
        while size > 0 and self._fill():
            passed = min(size, len(self._buffer))
            self._buffer = self._buffer[passed:]
            size -= passed

    def close(self) -> None:
        """Give up the rest."""
        self._closed.set()
        self._drop()

    def interrupt(self) -> None:
        """Make a `read` that waits fail soon; called from another thread."""
        self._closed.set()
        body = self._body
        if body is not None:
            body.interrupt()

    def _drop(self) -> None:
        body, self._body = self._body, None
        if body is not None:
            body.close()

    def _fill(self) -> bool:
        """Have bytes in the buffer; False at the end of the file."""
        while not self._buffer:
            try:
                chunk = self._read_chunk()
            except (FileNotFoundError, RefusedError):
                self._drop()
                raise
            except OSError as error:
                self._drop()
                self._wait(error)
                continue
            if not chunk:
                return False
            self._failures = self._meter.num_slow
            self._arrived += len(chunk)
            self._buffer = memoryview(chunk)
        return True

    def _read_chunk(self) -> bytes:
        if self._body is None:
            self._body = self._reopen()
        if self._closed.is_set():
            raise RefusedError(f"{self.name} was closed")
        chunk = self._read_body(self._body, _CHUNK)
        size = self._seen[0]
        if not chunk and size is not None and self._arrived < size:
            raise OSError(f"the answer ended {size - self._arrived} bytes early")
        return chunk

    def _read_body(self, body: Body, limit: int) -> bytes:
        """Return bytes of a body that come fast enough."""
        start = time.monotonic()
        chunk = body.read(limit)
        if chunk:
            self._meter.add(len(chunk), time.monotonic() - start)
        return chunk

    def _reopen(self) -> Body:
        """Return the content from where it broke, of the same file as before."""
        body = self._open_body(self._arrived)
        try:
            self._check_unchanged(body)
            missing = self._arrived - body.start
            while missing > 0 and (chunk := self._read_body(body, min(missing, _CHUNK))):
                missing -= len(chunk)
        except OSError:
            body.close()
            raise
        return body

    def _check_unchanged(self, body: Body) -> None:
        now = (body.size, body.version)
        for what, old, new in zip(("size", "version"), self._seen, now, strict=True):
            if None not in (old, new) and old != new:
                raise RefusedError(
                    f"{self.name} changed while it was read: its {what} was {old}, now it is {new}"
                )
        size, version = self._seen
        self._seen = (now[0] if size is None else size, now[1] if version is None else version)

    def _wait(self, error: OSError) -> None:
        """Wait before the next attempt; raise if there is none left."""
        reason = str(error) or type(error).__name__
        if self._closed.is_set():
            raise RefusedError(f"{self.name} was closed") from error
        if self._failures >= self._config.retries:
            raise OSError(
                f"{self.name} cannot be read at byte {self._arrived}, after "
                f"{self._failures + 1} attempts: {reason}"
            ) from error
        wait = min(self._config.backoff_sec * 2.0**self._failures, _MAX_WAIT_SEC)
        wait *= _jitter.uniform(0.5, 1.0)
        if isinstance(error, BusyError):
            wait = max(wait, error.wait_sec or 0.0)
        self._failures += 1
        logger.warning(
            "%s at byte %d: %s; attempt %d of %d in %.1f s",
            *(self.name, self._arrived, reason),
            *(self._failures + 1, self._config.retries + 1, wait),
        )
        self._closed.wait(wait)
