"""Progress of a run at the terminal: a bar with the time left, or lines of a log."""

from __future__ import annotations

import functools
import logging
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

if TYPE_CHECKING:  # every command asks here for its console, and most need no torch
    from gsv2.training.schedule import RunProgress
    from gsv2.training.telemetry.tracker import PanelFile

logger = logging.getLogger(__name__)

ItemT = TypeVar("ItemT")

_SILENT_SEC = 10.0
"""Longest time without a line where something is counted."""
_LOG_WIDTH = 160
"""Columns of a log that no terminal breaks."""
_SPEED_PERIOD_SEC = 600.0
"""Span that the time left is estimated from; a step may take a minute."""


class ProgressBar:
    """Step, losses and time left, on a terminal."""

    def __init__(self, title: str, done: int, progress: RunProgress) -> None:
        self._run = progress
        self._progress = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[losses]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console(),
            speed_estimate_period=_SPEED_PERIOD_SEC,
        )
        self._task = self._progress.add_task(title, completed=done, total=None, losses="")
        self._progress.start()

    def advance(self, step: int) -> None:
        """Move the bar."""
        self._progress.update(self._task, completed=step, total=_whole(self._run.total_steps))

    def log(self, step: int, record: Mapping[str, Any]) -> None:
        """Show the losses."""
        self._progress.update(self._task, completed=step, losses=losses_line(record))

    def show(self, step: int, files: Sequence[PanelFile]) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Leave the terminal as it is."""
        self._progress.stop()


class LogLines:
    """One line of the log per logged step, where there is no terminal."""

    def __init__(self, title: str, progress: RunProgress) -> None:
        self._title = title
        self._run = progress

    def advance(self, step: int) -> None:
        """Nothing to do."""

    def log(self, step: int, record: Mapping[str, Any]) -> None:
        """Write the losses, the speed and the time left."""
        speed = record.get("train/steps_per_sec", 0.0)
        total = _whole(self._run.total_steps)
        left = f"  {time_left(total - step, speed)} left" if speed and total else ""
        logger.info(
            "%s %d/%s  %s  %.2f steps/s%s",
            self._title,
            step,
            total or "?",
            losses_line(record),
            speed,
            left,
        )

    def show(self, step: int, files: Sequence[PanelFile]) -> None:
        """Nothing to do."""


@functools.cache
def console() -> Console:
    """Return the console of progress and log, so that lines do not break the bar."""
    return Console(stderr=True, width=None if sys.stderr.isatty() else _LOG_WIDTH)


@contextmanager
def counting_bar(title: str) -> Iterator[Callable[[int, int | None], None]]:
    """Show a bar for work that is no training; yields what takes (clips done, clips in all).

    Without a terminal, a line of the log every ten seconds.
    """
    if not sys.stderr.isatty():
        yield CountingLines(title)
        return
    columns = (
        TextColumn(title),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console(), speed_estimate_period=_SPEED_PERIOD_SEC) as bar:
        task = bar.add_task("clips", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


class CountingLines:
    """Lines of the log that count, at most one every ten seconds."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._first: tuple[float, int] | None = None
        self._last = time.monotonic()

    def __call__(self, done: int, total: int | None) -> None:
        """Take how much is done, of how much."""
        now = time.monotonic()
        self._first = self._first or (now, done)
        if now - self._last < _SILENT_SEC:
            return
        self._last = now
        line = f"{self._title}: {done}" + ("" if total is None else f" of {total}")
        seconds, steps = now - self._first[0], done - self._first[1]
        if total is not None and steps > 0 and seconds > 0:
            line += f", {time_left(max(0, total - done), steps / seconds)} left"
        logger.info("%s", line)


def time_left(steps: int, steps_per_sec: float) -> str:
    """Return `1 day, 2:03:04` for steps that are still to be taken."""
    return str(timedelta(seconds=round(steps / steps_per_sec)))


def _whole(total_steps: float) -> int | None:
    """Return a number of steps for people; None if nobody knows it yet."""
    return round(total_steps) if math.isfinite(total_steps) else None


def losses_line(record: Mapping[str, Any]) -> str:
    """Return `gpt 2.31` for every training loss of a record."""
    suffix = "/loss"
    parts = [
        f"{key.removesuffix(suffix)} {value:.4g}"
        for key, value in record.items()
        if key.endswith(suffix) and not key.startswith("validation/") and value is not None
    ]
    return "  ".join(parts)
