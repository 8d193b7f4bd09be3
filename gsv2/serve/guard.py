"""Guard before an app: who may ask, how much a request may bring, and how slowly."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Callable, Mapping
from typing import Any

from starlette.datastructures import Headers

from gsv2.serve.errors import RequestError, error_response
from gsv2.serve.limits import ServerLimits
from gsv2.serve.page import PAGE_PATHS

OPEN_PATHS = frozenset({"/health", *PAGE_PATHS})
"""Paths that answer without a token."""
_DRAINED = 4
"""Of a body that is too large so many times what is allowed is read, so that its sender, who
writes before it reads, hears why."""
_MULTIPART_BYTES = 64 << 10
"""Bytes that names, transcripts and borders may take beside a recording."""

Scope = Mapping[str, Any]
Receive = Callable[[], Any]
Send = Callable[[Mapping[str, Any]], Any]


class RequestGuard:
    """ASGI middleware that turns requests away before the app has read them.

    Args:
        app: what is guarded.
        limits: limits of the server.
        token: what `Authorization: Bearer` must say; None = anybody may ask.
    """

    def __init__(self, app: Any, limits: ServerLimits, token: str | None) -> None:
        self._app = app
        self._limits = limits
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on with a body that cannot outgrow its limit."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(raw=list(scope["headers"]))
        most = self._most_bytes(headers)
        length = headers.get("content-length", "0")
        try:
            _check_site(scope["method"], headers)
            self._check_token(scope["path"], headers)
            if length.isdecimal() and int(length) > most:
                await _drain(receive, _DRAINED * most, self._limits.max_upload_sec)
                raise _too_large(most)
        except RequestError as error:
            await error_response(error)(dict(scope), receive, send)
            return
        await self._app(scope, _Bounded(receive, most, self._limits.max_upload_sec), send)

    def _check_token(self, path: str, headers: Headers) -> None:
        if self._token is None or path in OPEN_PATHS:
            return
        said = headers.get("authorization", "").encode()
        if not hmac.compare_digest(said, f"Bearer {self._token}".encode()):
            raise RequestError(401, "Authorization must be `Bearer TOKEN` with the server's token")

    def _most_bytes(self, headers: Headers) -> int:
        if headers.get("content-type", "").startswith("multipart/"):
            return self._limits.max_upload_bytes + _MULTIPART_BYTES
        return self._limits.max_text_bytes


def _check_site(method: str, headers: Headers) -> None:
    """Refuse what the page of another site lets a browser send; browsers tell which it is."""
    if method != "GET" and headers.get("sec-fetch-site") == "cross-site":
        raise RequestError(403, "the page of another site may not ask this server for anything")


class _Bounded:
    """The `receive` of a request whose body has a largest size and a latest end."""

    def __init__(self, receive: Receive, most: int, max_sec: float) -> None:
        self._receive = receive
        self._most = most
        self._left = most
        self._deadline = time.monotonic() + max_sec
        self._is_whole = False

    async def __call__(self) -> Any:
        if self._is_whole:  # what comes now is that the client has left
            return await self._receive()
        message = await _receive_until(self._receive, self._deadline)
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            if message.get("more_body", False):
                max_sec = self._deadline - time.monotonic()
                await _drain(self._receive, _DRAINED * self._most, max_sec)
            raise _too_large(self._most)
        self._is_whole = not message.get("more_body", False)
        return message


async def _receive_until(receive: Receive, deadline: float) -> Any:
    try:
        return await asyncio.wait_for(receive(), max(deadline - time.monotonic(), 0.0))
    except TimeoutError:
        raise RequestError(408, "the request took too long to arrive") from None


async def _drain(receive: Receive, most: int, max_sec: float) -> None:
    """Read at most so many bytes in at most so many seconds, and forget them."""
    deadline = time.monotonic() + max_sec
    while most > 0:
        message = await _receive_until(receive, deadline)
        most -= len(message.get("body", b""))
        if not message.get("more_body", False):
            return


def _too_large(most: int) -> RequestError:
    return RequestError(413, f"the request is too large: it may have at most {most} bytes")
