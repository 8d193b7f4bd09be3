"""Tracking of a run: metrics.jsonl, Weights & Biases, TensorBoard, the terminal.

`metrics.jsonl` is the truth; the others show it, and may fail without an end of the run.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from gsv2.training.run_folder.records import RecordFile
from gsv2.training.schedule import RunProgress
from gsv2.training.telemetry.progress import LogLines, ProgressBar, console
from gsv2.training.telemetry.tensorboard import TensorBoardTracker
from gsv2.training.telemetry.tracker import ClosableTracker, GuardedTracker, PanelFile, Tracker
from gsv2.training.telemetry.weights_and_biases import NAME as WANDB
from gsv2.training.telemetry.weights_and_biases import WandbTracker


@dataclass(frozen=True, kw_only=True)
class TrackingConfig:
    """The `tracking` section."""

    wandb: Literal["disabled", "offline", "online"] = "disabled"
    """Weights & Biases; a resumed run goes on under its old id. `online` goes on offline while no
    server can be reached, for the launch that begins then."""
    project: str = "gsv2"
    """Project in Weights & Biases."""
    tensorboard: bool = False
    """Write events to `RUN/tensorboard`; needs the extra `gsv2[tensorboard]`."""
    progress: bool = True
    """Show a progress bar on the main rank; without a terminal, log lines instead."""
    samples: int = 4
    """Clips, the first of the validation, whose audio and spectrograms are kept; 0 = none."""
    keep_samples: int = 5
    """Validations that stay in `RUN/samples`."""
    peak_tflops: float | None = None
    """Peak of one device in TFLOP/s for `train/mfu`; None = by its name (see
    `gsv2.training.telemetry.peaks`), and no `train/mfu` for a device that is not known there."""

    def __post_init__(self) -> None:
        """Check the values that no type can."""
        for name, least in (("samples", 0), ("keep_samples", 1)):
            if getattr(self, name) < least:
                raise ValueError(
                    f"tracking.{name} must be at least {least}, but is {getattr(self, name)}"
                )
        if self.peak_tflops is not None and not 0 < self.peak_tflops < math.inf:
            raise ValueError(f"tracking.peak_tflops must be positive, but is {self.peak_tflops}")


class MetricsFile:
    """One JSON object per logged step."""

    def __init__(self, path: Path) -> None:
        self._file = RecordFile(path)

    def advance(self, step: int) -> None:
        """Nothing to do."""

    def log(self, step: int, record: Mapping[str, Any]) -> None:
        """Append `{"step", **record}`."""
        self._file.append([{"step": step, **record}])

    def show(self, step: int, files: Sequence[PanelFile]) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Try for the last time to write what the disk did not take."""
        self._file.close()


@contextmanager
def open_trackers(
    config: TrackingConfig,
    folder: Path,
    *,
    name: str,
    values: Mapping[str, Any],
    done: int,
    progress: RunProgress,
) -> Iterator[Sequence[Tracker]]:
    """Open what the main rank tells about a run.

    Args:
        values: plain values of the run's config.
        done: last step whose record was written; what came after it was rolled back.
        progress: how far it has come; moved on by the loop.

    Raises:
        ValueError: `tracking.tensorboard` without TensorBoard; Weights & Biases takes no run of
            this project or key.
    """
    metrics = MetricsFile(folder / "metrics.jsonl")
    trackers: list[Tracker] = [metrics]
    with ExitStack() as stack:
        stack.callback(metrics.close)
        if config.wandb != "disabled":
            wandb = WandbTracker(config.wandb, config.project, folder, name, values)
            trackers.append(_guarded(stack, WANDB, wandb))
        if config.tensorboard:
            board = TensorBoardTracker(folder / "tensorboard", done)
            trackers.append(_guarded(stack, "TensorBoard", board))
        if config.progress and console().is_terminal:
            bar = ProgressBar(name, done, progress)
            stack.callback(bar.close)
            trackers.append(bar)
        else:
            trackers.append(LogLines(name, progress))
        yield trackers


def _guarded(stack: ExitStack, name: str, tracker: ClosableTracker) -> Tracker:
    """Return a tracker that may fail, and is closed with the others."""
    guarded = GuardedTracker(name, tracker)
    stack.push(guarded.close)
    return guarded
