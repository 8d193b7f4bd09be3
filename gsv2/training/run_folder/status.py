"""Status file `RUN/status.json`: is a run being trained, by whom, how did its last launch end."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gsv2.files import write_atomically
from gsv2.folder_lock import identify_process

STATUS_FILE = "status.json"
logger = logging.getLogger(__name__)

_ALWAYS = {"state", "host", "pid", "started"}


@contextmanager
def recorded_status(run: Path, **about: Any) -> Iterator[None]:
    """Write `running` on entry, and on exit `finished`, `stopped` or `failed` with the reason.

    A process that is killed writes nothing any more; `is_alive` finds that out.
    """
    who = identify_process()
    _write(run, {"state": "running", **who, **about})
    try:
        yield
    except (KeyboardInterrupt, SystemExit) as end:
        reason = getattr(end, "message", "") or type(end).__name__
        _write_end(run, {"state": "stopped", "reason": reason, **who, **about})
        raise
    except BaseException as error:
        reason = f"{type(error).__name__}: {error}"
        _write_end(run, {"state": "failed", "reason": reason, **who, **about})
        raise
    _write_end(run, {"state": "finished", **who, **about})


def read_status(run: Path) -> dict[str, Any]:
    """Return the values of the file; none if there is no file.

    Raises:
        ValueError: something else wrote it, or damaged it.
    """
    try:
        text = (run / STATUS_FILE).read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict) or not values.keys() >= _ALWAYS:
        raise ValueError(f"{STATUS_FILE} is no status of a run")
    return values


def _write_end(run: Path, values: Mapping[str, Any]) -> None:
    """Say how a launch ended; a full disk is no other end."""
    try:
        _write(run, values)
    except OSError as error:
        logger.warning("%s cannot say that the run is %s: %s", STATUS_FILE, values["state"], error)


def _write(run: Path, values: Mapping[str, Any]) -> None:
    """Replace the file as a whole."""
    text = json.dumps({**values, "written": time.time()}, indent=2, ensure_ascii=False)
    write_atomically(run / STATUS_FILE, text + "\n")
