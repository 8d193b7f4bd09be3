"""What tells a process from every other one, on this machine and on others."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any

import psutil


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
