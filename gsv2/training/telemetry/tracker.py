"""Tracker: who is told about a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol


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

    def log(self, step: int, row: Mapping[str, Any]) -> None:
        """Take the figures of a logged step; only the file keeps what is no number."""

    def show(self, step: int, files: Sequence[PanelFile]) -> None:
        """Take the pictures and sounds of a validation."""


class ClosableTracker(Tracker, Protocol):
    """A tracker that has something to close."""

    def close(self, kind: type[BaseException] | None = None) -> None:
        """Close it; `kind` is of the exception that ends the run, if one does."""
