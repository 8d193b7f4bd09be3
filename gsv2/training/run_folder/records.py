"""Records of a run as JSON lines, each with its step; a file of them outlives a full disk."""

from __future__ import annotations

import json
import logging
import math
import os
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from gsv2.files import write_atomically

MAX_WAITING = 10_000
"""Records that wait in memory; above that the oldest are lost."""

logger = logging.getLogger(__name__)


class RecordFile:
    """Appends records; those that the disk does not take wait for the next call."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._waiting: deque[Mapping[str, Any]] = deque(maxlen=MAX_WAITING)
        self._has_failed = False

    def append(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Add records, after those that wait; tells once when the disk begins to refuse them.

        With none to add, those that wait are tried again.
        """
        self._waiting.extend(records)
        if not self._waiting:
            return
        try:
            append_records(self._path, self._waiting)
        except OSError as error:
            if not self._has_failed:
                logger.error(
                    "CANNOT BE WRITTEN, the run goes on and keeps what belongs there in memory: %s",
                    error,
                )
            self._has_failed = True
            return
        if self._has_failed:
            logger.info("%s: %d records that waited are there", self._path, len(self._waiting))
        self._has_failed = False
        self._waiting.clear()

    def read(self) -> list[dict[str, Any]]:
        """Return all records, also those that wait."""
        return [*read_records(self._path), *map(dict, self._waiting)]

    def close(self) -> None:
        """Try for the last time to write what waits."""
        self.append([])
        if self._waiting:
            logger.error("%s: %d records are lost", self._path, len(self._waiting))


def append_records(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Add objects, all or none; floats keep full precision, and not finite ones become null.

    Raises:
        OSError: the disk does not take them; names the file, which is as it was before.
    """
    # A lone surrogate, of a name that is not UTF-8, becomes the escape that JSON has for it.
    left = memoryview("".join(map(_to_line, records)).encode("utf-8", "backslashreplace"))
    size = None
    try:
        with path.open("ab", buffering=0) as stream:
            size = stream.seek(0, os.SEEK_END)
            while left:
                left = left[stream.write(left) :]
    except OSError as error:
        if size is not None:
            with suppress(OSError):
                os.truncate(path, size)
        raise OSError(error.errno, error.strerror, str(path)) from error


def read_records(path: Path) -> list[dict[str, Any]]:
    """Return all objects; none if there is no file.

    Raises:
        ValueError: a line is no JSON; names the file and the line.
    """
    if not path.exists():
        return []
    lines = path.read_bytes().splitlines()  # of text, it would split at U+2028 in a key too
    return [_parse(line, path, number) for number, line in enumerate(lines, 1)]


def truncate_records(path: Path, step: int) -> None:
    """Drop the lines after `step`, and the line that a killed process left half written.

    Lines that are damaged, such as a crashed machine leaves, go too, with a warning: they are no
    reason not to train.
    """
    if not path.exists():
        return
    kept = []
    for number, line in enumerate(path.read_bytes().splitlines(keepends=True), 1):
        if not line.endswith(b"\n"):
            break
        try:
            if _parse(line, path, number)["step"] > step:
                break
        except ValueError as error:
            logger.warning("dropped: %s", error)
            continue
        kept.append(line)
    write_atomically(path, b"".join(kept))


def _parse(line: bytes, path: Path, number: int) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: line {number} is no JSON: {error}") from error
    if not isinstance(record, dict) or not isinstance(record.get("step"), int):
        raise ValueError(f"{path}: line {number} is no record of a step")
    return record


def _to_line(record: Mapping[str, Any]) -> str:
    plain = {key: _finite(value) for key, value in record.items()}
    return json.dumps(plain, ensure_ascii=False, allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
