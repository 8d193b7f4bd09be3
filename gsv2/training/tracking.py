"""metrics.jsonl, Weights & Biases and the progress bar.

`metrics.jsonl` is the truth; the others show it. The only importer of wandb.
"""

from __future__ import annotations

import functools
import logging
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from gsv2.training.records import append_record

logger = logging.getLogger(__name__)

_LOG_WIDTH = 160
"""Columns of a log that no terminal breaks."""


@dataclass(frozen=True, kw_only=True)
class TrackingConfig:
    """The `tracking` section."""

    wandb: Literal["disabled", "offline", "online"] = "disabled"
    """Weights & Biases; a resumed run goes on under its old id."""
    project: str = "gsv2"
    """Project in Weights & Biases."""
    progress: bool = True
    """Show a progress bar on the main rank; without a terminal, log lines instead."""


class Tracker(Protocol):
    """Who is told about a run."""

    def advance(self, step: int) -> None:
        """Take note of a finished step."""

    def log(self, step: int, row: Mapping[str, Any]) -> None:
        """Take the figures of a logged step; only the file keeps what is no number."""


class MetricsFile:
    """One JSON object per logged step."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def advance(self, step: int) -> None:
        """Nothing to do."""

    def log(self, step: int, row: Mapping[str, Any]) -> None:
        """Append `{"step", **row}`."""
        append_record(self._path, {"step": step, **row})


class WandbTracker:
    """A run in Weights & Biases whose id lives in the run folder."""

    def __init__(
        self, config: TrackingConfig, folder: Path, name: str, values: Mapping[str, Any]
    ) -> None:
        import wandb

        id_file = folder / "wandb_id"
        if not id_file.exists():
            id_file.write_text(secrets.token_hex(4), encoding="utf-8")
        self._run = wandb.init(
            project=config.project,
            id=id_file.read_text(encoding="utf-8").strip(),
            name=name,
            dir=str(folder),
            config=dict(values),
            mode=config.wandb,
            resume="allow",
        )
        # Steps are a value, not wandb's own counter, which refuses to go back after a rollback.
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")

    def advance(self, step: int) -> None:
        """Nothing to do."""

    def log(self, step: int, row: Mapping[str, Any]) -> None:
        """Send the numbers of the row."""
        numbers = {key: value for key, value in row.items() if isinstance(value, int | float)}
        self._run.log({"step": step, **numbers})

    def close(self) -> None:
        """Finish the upload."""
        self._run.finish()


class ProgressBar:
    """Step, losses and time left, on a terminal."""

    def __init__(self, title: str, done: int, max_steps: int) -> None:
        self._progress = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[losses]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console(),
        )
        self._task = self._progress.add_task(title, completed=done, total=max_steps, losses="")
        self._progress.start()

    def advance(self, step: int) -> None:
        """Move the bar."""
        self._progress.update(self._task, completed=step)

    def log(self, step: int, row: Mapping[str, Any]) -> None:
        """Show the losses."""
        self._progress.update(self._task, completed=step, losses=_losses(row))

    def close(self) -> None:
        """Leave the terminal as it is."""
        self._progress.stop()


class LogLines:
    """One line of the log per logged step, where there is no terminal."""

    def __init__(self, title: str, max_steps: int) -> None:
        self._title = title
        self._max_steps = max_steps

    def advance(self, step: int) -> None:
        """Nothing to do."""

    def log(self, step: int, row: Mapping[str, Any]) -> None:
        """Write the losses and the speed."""
        speed = row.get("train/steps_per_sec", 0.0)
        logger.info(
            "%s %d/%d  %s  %.2f steps/s", self._title, step, self._max_steps, _losses(row), speed
        )


@functools.cache
def console() -> Console:
    """Return the console of progress and log, so that lines do not break the bar."""
    return Console(stderr=True, width=None if sys.stderr.isatty() else _LOG_WIDTH)


@contextmanager
def counting_bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar for work that is no training; yields what takes (clips done, clips in all)."""
    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console(), disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("clips", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def open_trackers(
    config: TrackingConfig,
    folder: Path,
    *,
    name: str,
    values: Mapping[str, Any],
    done: int,
    max_steps: int,
) -> Iterator[Sequence[Tracker]]:
    """Open what the main rank tells about a run.

    Args:
        config: the `tracking` section.
        folder: run folder.
        name: the run's name, for people.
        values: plain values of the run's config.
        done: steps that the run has behind it.
        max_steps: steps that it will have.
    """
    trackers: list[Tracker] = [MetricsFile(folder / "metrics.jsonl")]
    with ExitStack() as stack:
        if config.wandb != "disabled":
            wandb = WandbTracker(config, folder, name, values)
            stack.callback(wandb.close)
            trackers.append(wandb)
        if config.progress and console().is_terminal:
            bar = ProgressBar(name, done, max_steps)
            stack.callback(bar.close)
            trackers.append(bar)
        else:
            trackers.append(LogLines(name, max_steps))
        yield trackers


def _losses(row: Mapping[str, Any]) -> str:
    """Return `gpt 2.31` for every loss of the row."""
    suffix = "/loss"
    parts = [
        f"{key.removesuffix(suffix)} {value:.4g}"
        for key, value in row.items()
        if key.endswith(suffix) and not key.startswith("validation/")
    ]
    return "  ".join(parts)
