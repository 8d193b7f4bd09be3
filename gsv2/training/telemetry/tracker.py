"""Trackers, who are told about a run; guarded ones, whose end is not that of the run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Protocol

logger = logging.getLogger(__name__)


class PanelFile(NamedTuple):
    """A picture or a sound of a panel."""

    name: str
    """`CLIP/sheet`, `CLIP/recording`, ...: the same at every validation."""
    path: Path
    """A `.png` or a `.flac`."""


class Tracker(Protocol):
    """Who is told about a run."""

    def advance(self, step: int) -> None:
        """Take note of a finished step."""

    def log(self, step: int, record: Mapping[str, Any]) -> None:
        """Take the figures of a logged step; only the file keeps what is no number."""

    def show(self, step: int, files: Sequence[PanelFile]) -> None:
        """Take the pictures and sounds of a validation."""


class ClosableTracker(Tracker, Protocol):
    """A tracker that has something to close."""

    def close(self, kind: type[BaseException] | None = None) -> None:
        """Close it; `kind` is of the exception that ends the run, if one does."""


class GuardedTracker:
    """Passes everything on to a tracker until that fails; says so once, and goes on without it.

    For what shows a run by way of other people's libraries, processes and servers: `metrics.jsonl`
    has everything all the same.

    Args:
        name: name of the tracker, for people.
        tracker: what may fail.
    """

    def __init__(self, name: str, tracker: ClosableTracker) -> None:
        self._name = name
        self._tracker = tracker
        self._is_alive = True

    def advance(self, step: int) -> None:
        """Take note of a finished step."""
        self._try(lambda: self._tracker.advance(step))

    def log(self, step: int, record: Mapping[str, Any]) -> None:
        """Take the figures of a logged step."""
        self._try(lambda: self._tracker.log(step, record))

    def show(self, step: int, files: Sequence[PanelFile]) -> None:
        """Take the pictures and sounds of a validation."""
        self._try(lambda: self._tracker.show(step, files))

    def close(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the tracker, also one that has failed."""
        was_alive, self._is_alive = self._is_alive, True
        self._try(lambda: self._tracker.close(kind), is_logged=was_alive)

    def _try(self, action: Callable[[], None], *, is_logged: bool = True) -> None:
        if not self._is_alive:
            return
        try:
            action()
        except Exception as error:  # noqa: BLE001  their libraries raise whatever they meet
            self._is_alive = False
            if is_logged:
                logger.error(
                    "%s FAILED, and gets nothing more; metrics.jsonl has everything: %s: %s",
                    self._name, type(error).__name__, error,
                )  # fmt: skip
