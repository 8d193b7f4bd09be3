"""Errors of requests, as a status and the JSON object that clients of OpenAI's interface read."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as AnyHTTPException

BUSY_AFTER_SEC = 5
"""What `Retry-After` says to those who are turned away."""
_KINDS = {401: "authentication_error", 429: "rate_limit_error"}


class RequestError(HTTPException):
    """A request that cannot be met; the message names what is wrong.

    Args:
        status: HTTP status, 4xx or 503.
        message: one line.
        param: field of the request that is wrong, if one is.
        code: word that programs can tell the error by.
    """

    def __init__(
        self, status: int, message: str, param: str | None = None, code: str | None = None
    ) -> None:
        headers = {"Retry-After": str(BUSY_AFTER_SEC)} if status in (429, 503) else None
        if status == 401:
            headers = {"WWW-Authenticate": "Bearer"}
        super().__init__(status, message, headers)
        self.param = param
        self.code = code


def error_response(error: AnyHTTPException) -> JSONResponse:
    """Return the answer to a request that cannot be met."""
    status = error.status_code
    kind = _KINDS.get(status, "server_error" if status >= 500 else "invalid_request_error")
    described = {
        "message": str(error.detail),
        "type": kind,
        "param": getattr(error, "param", None),
        "code": getattr(error, "code", None),
    }
    return JSONResponse({"error": described}, status, error.headers)


def install_handlers(app: FastAPI) -> None:
    """Let every error of an app be answered in one form."""

    async def answer(_: Request, error: Any) -> JSONResponse:
        return error_response(error)

    async def answer_invalid(_: Request, error: Any) -> JSONResponse:
        first = error.errors()[0]
        place = [part for part in first["loc"] if isinstance(part, str) and part != "body"]
        where = ".".join(place) or "the request"
        return error_response(RequestError(400, f"{where}: {first['msg']}", where))

    app.add_exception_handler(AnyHTTPException, answer)
    app.add_exception_handler(RequestValidationError, answer_invalid)
