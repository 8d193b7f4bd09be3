"""A file of records that outlives a full disk."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gsv2.training.run_folder.records import append_records, read_records

MAX_WAITING = 10_000
"""Records that wait in memory; above that the oldest are lost."""

logger = logging.getLogger(__name__)


class RecordFile:
    """Appends records; those that the disk does not take wait for the next call.

    Args:
        path: of the file.
    """

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
