"""Server process: an application on a port, until it is told to stop."""

from __future__ import annotations

import signal
from typing import Any

import uvicorn

_MAX_CONNECTIONS = 512
"""Connections beyond these are answered with 503 and closed."""
_KEEP_ALIVE_SEC = 5


def run_server(app: Any, host: str, port: int, stop_sec: float) -> None:
    """Serve until SIGTERM or SIGINT; answers that have begun may end.

    Args:
        app: ASGI application.
        host: address to listen at.
        port: port to listen at; 0 = any that is free.
        stop_sec: time that answers have to end in.

    Raises:
        OSError: the address cannot be listened at.
    """
    server = uvicorn.Server(server_config(app, host, port, stop_sec))
    before = {number: signal.signal(number, _ignored) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        # uvicorn takes the signals, ends, and raises them once more for those who stood here.
        server.run()
    except SystemExit as error:  # uvicorn has logged why
        raise OSError(f"{host}:{port} cannot be listened at") from error
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def server_config(app: Any, host: str, port: int, stop_sec: float) -> uvicorn.Config:
    """Return how a server listens, see `run_server`."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        limit_concurrency=_MAX_CONNECTIONS,
        timeout_keep_alive=_KEEP_ALIVE_SEC,
        timeout_graceful_shutdown=round(stop_sec),
        server_header=False,
    )


def _ignored(*_: object) -> None:
    """Take a signal that the server has obeyed."""
