"""Files of HTTP(S) servers, by requests.

fsspec's own HTTP goes through aiohttp and a shared event-loop thread, which a forked DataLoader
worker does not have; requests is plain blocking sockets, one session a process.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from http.client import IncompleteRead

import requests
import urllib3

from gsv2.storage.body import BusyError, RefusedError, public_name
from gsv2.storage.timed_answer import SlowHeadersError, TimedAdapter

_POOLED = 64
"""Connections to a server that stay open for later use."""
_MAX_RETRY_AFTER_SEC = 900.0
_BUSY = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})
_GONE = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
_FORBIDDEN = frozenset(
    {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.PROXY_AUTHENTICATION_REQUIRED}
)
_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)")
_BAD_REQUESTS = (
    requests.exceptions.InvalidURL,
    requests.exceptions.MissingSchema,
    requests.exceptions.InvalidSchema,
    requests.exceptions.TooManyRedirects,
)


def make_session() -> requests.Session:
    """Return a session for the threads of one process."""
    session = requests.Session()
    adapter = TimedAdapter(pool_maxsize=_POOLED)
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    return session


class HttpBody:
    """Content of a URL; see `gsv2.storage.body.Body`.

    Args:
        session: session of this process.
        offset: byte to start at, if the server can.
        timeout_sec: silence that is an error, and the time for all headers; 0 = wait for ever.

    Raises:
        FileNotFoundError: the server answers with 404.
        RefusedError: the request will never be answered.
        OSError: it may be answered later.
    """

    def __init__(
        self, session: requests.Session, url: str, offset: int, timeout_sec: float
    ) -> None:
        headers = {"Accept-Encoding": "identity"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
        name = public_name(url)
        try:
            response = session.get(url, headers=headers, stream=True, timeout=timeout_sec or None)
        except _BAD_REQUESTS as error:
            raise RefusedError(f"{name}: {error}") from error
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise OSError(_reason(error, timeout_sec)) from error
        self._response = response
        self._timeout_sec = timeout_sec
        self.version: str | None = response.headers.get("ETag") or response.headers.get(
            "Last-Modified"
        )
        self.start = 0
        self.size: int | None = None
        try:
            self._check(name, offset)
        except OSError:
            response.close()
            raise
        accepted = response.headers.get("Accept-Ranges", "").lower()
        self.can_seek = self._status != HTTPStatus.OK or accepted == "bytes"

    def read(self, limit: int) -> bytes:
        """See `Body.read`."""
        if self._status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return b""
        try:
            return self._response.raw.read1(limit)  # what is there, at once
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise OSError(_reason(error, self._timeout_sec)) from error

    def close(self) -> None:
        """See `Body.close`."""
        self._response.close()

    def interrupt(self) -> None:
        """See `Body.interrupt`."""
        try:
            self._response.raw.shutdown()
        except (ValueError, RuntimeError, OSError):
            pass  # read to its end already, or the connection is lost

    @property
    def _status(self) -> int:
        return self._response.status_code

    def _check(self, name: str, offset: int) -> None:
        """Understand the answer: `start` and `size`, or an error."""
        status, headers = self._status, self._response.headers
        said = f"the server said {status} {self._response.reason}".rstrip()
        if headers.get("Content-Encoding", "identity") != "identity":
            raise RefusedError(f"{name} comes compressed, though it was asked for as it is")
        if status == HTTPStatus.OK:
            length = headers.get("Content-Length")
            self.size = int(length) if length and length.isdigit() else None
        elif status in (HTTPStatus.PARTIAL_CONTENT, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE):
            match = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
            first, size = match.groups() if match else (None, None)
            if status == HTTPStatus.PARTIAL_CONTENT and first != str(offset):
                raise RefusedError(f"{name}: asked for byte {offset}, but got byte {first}")
            self.start, self.size = offset, int(size) if size and size != "*" else None
        elif status in _GONE:
            raise FileNotFoundError(f"{name} does not exist ({said})")
        elif status in _FORBIDDEN:
            raise RefusedError(f"{name} may not be read ({said}): check credentials and signature")
        elif status in _BUSY or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise BusyError(said, _retry_after_sec(headers.get("Retry-After", "")))
        else:
            raise RefusedError(f"{name} cannot be read ({said})")


def _retry_after_sec(value: str) -> float | None:
    """Return the seconds that a server asks to wait, from a number or a date."""
    try:
        wait = float(value)
    except ValueError:
        try:
            wait = (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):
            return None
    return min(max(wait, 0.0), _MAX_RETRY_AFTER_SEC)


def _reason(error: BaseException, timeout_sec: float) -> str:
    """Return the cause of a failure in one line; those of requests wrap it three times."""
    while not isinstance(error, SlowHeadersError):
        cause = error.__cause__ or error.__context__
        if cause is None:
            break
        error = cause
    if isinstance(error, SlowHeadersError):
        return str(error)
    if isinstance(error, TimeoutError):
        return f"the server was silent for {timeout_sec:g} s"
    if isinstance(error, IncompleteRead):
        return f"the answer ended {error.expected} bytes early"
    return " ".join(str(error).split()) or type(error).__name__
