"""Who is told about a run: metrics.jsonl, Weights & Biases, TensorBoard, the terminal.

`metrics.jsonl` is the truth; the others show it. The only importer of wandb.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Protocol

from gsv2.training.telemetry.panels import PanelFile
from gsv2.training.telemetry.progress import LogLines, ProgressBar, console
from gsv2.training.telemetry.records import append_record
from gsv2.training.telemetry.tensorboard import TensorBoardTracker

logger = logging.getLogger(__name__)

_FLUSH = "x_transaction_log_flush_interval"
_FLUSH_SEC = 1.0
"""What a process that is killed may lose of wandb's file, from which `wandb sync` uploads; wandb's
own 15 s lose rows that a checkpoint has, so that no launch would send them again."""


@dataclass(frozen=True, kw_only=True)
class TrackingConfig:
    """The `tracking` section."""

    wandb: Literal["disabled", "offline", "online"] = "disabled"
    """Weights & Biases; a resumed run goes on under its old id."""
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
        if self.peak_tflops is not None and self.peak_tflops <= 0:
            raise ValueError(f"tracking.peak_tflops must be positive, but is {self.peak_tflops}")


class Tracker(Protocol):
    """Who is told about a run."""

    def advance(self, step: int) -> None:
        """Take note of a finished step."""

    def log(self, step: int, row: Mapping[str, Any]) -> None:
        """Take the figures of a logged step; only the file keeps what is no number."""

    def show(self, step: int, files: Sequence[PanelFile]) -> None:
        """Take the pictures and sounds of a validation."""


class MetricsFile:
    """One JSON object per logged step."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def advance(self, step: int) -> None:
        """Nothing to do."""

    def log(self, step: int, row: Mapping[str, Any]) -> None:
        """Append `{"step", **row}`."""
        append_record(self._path, {"step": step, **row})

    def show(self, step: int, files: Sequence[PanelFile]) -> None:
        """Nothing to do."""


def stored_wandb_id(folder: Path, kept: str | None = None) -> str:
    """Return the id of a run in Weights & Biases, which lives in its folder.

    Args:
        folder: run folder.
        kept: what a checkpoint has kept of it, for a folder on a disk that knows nothing yet.
    """
    file = folder / "wandb_id"
    if not file.exists():
        file.write_text(kept or secrets.token_hex(4), encoding="utf-8")
    return file.read_text(encoding="utf-8").strip()


class WandbTracker:
    """A run in Weights & Biases whose id lives in the run folder.

    Offline, every launch leaves a folder of that id in `RUN/wandb`; `wandb sync RUN/wandb/*`
    makes one run of them. Nothing that was sent can be taken back: steps that are taken again
    after a rollback are there twice, at the same `step`.
    """

    def __init__(
        self, config: TrackingConfig, folder: Path, name: str, values: Mapping[str, Any]
    ) -> None:
        import wandb

        self._wandb = wandb
        options: dict[str, Any] = {"project": config.project, "name": name, "dir": str(folder)}
        # The terminal is ours: wandb neither writes to it nor copies it.
        settings: dict[str, Any] = {"silent": True, "console": "off"}
        if _FLUSH in wandb.Settings.model_fields:  # of newer versions alone
            settings[_FLUSH] = _FLUSH_SEC
        try:
            self._run = wandb.init(
                **options,
                id=stored_wandb_id(folder),
                config=dict(values),
                mode=config.wandb,
                resume="allow",
                settings=wandb.Settings(**settings),
            )
        except wandb.Error as error:
            raise ValueError(f"tracking.wandb={config.wandb}: {error}") from error
        if config.wandb == "online":
            logger.info("Weights & Biases: %s", self._run.url)
        # Steps are a value, not wandb's own counter, which refuses to go back after a rollback.
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")

    def advance(self, step: int) -> None:
        """Nothing to do."""

    def log(self, step: int, row: Mapping[str, Any]) -> None:
        """Send the numbers of the row."""
        self._run.log({"step": step, **only_numbers(row)})

    def show(self, step: int, files: Sequence[PanelFile]) -> None:
        """Send pictures and sounds."""
        kinds = {".png": self._wandb.Image, ".flac": self._wandb.Audio}
        media = {f"samples/{file.name}": kinds[file.path.suffix](str(file.path)) for file in files}
        self._run.log({"step": step, **media})

    def close(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Finish the upload, and say how the run ended."""
        if kind is not None and issubclass(kind, SystemExit):  # told to leave: it comes back
            self._run.mark_preempting()
        self._run.finish(exit_code=int(kind is not None))


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
        done: last step whose row was written; what came after it was rolled back.
        max_steps: steps that it will have.

    Raises:
        ValueError: `tracking.tensorboard` without TensorBoard.
    """
    trackers: list[Tracker] = [MetricsFile(folder / "metrics.jsonl")]
    with ExitStack() as stack:
        if config.wandb != "disabled":
            wandb = WandbTracker(config, folder, name, values)
            stack.push(wandb.close)
            trackers.append(wandb)
        if config.tensorboard:
            board = TensorBoardTracker(folder / "tensorboard", done)
            stack.callback(board.close)
            trackers.append(board)
        if config.progress and console().is_terminal:
            bar = ProgressBar(name, done, max_steps)
            stack.callback(bar.close)
            trackers.append(bar)
        else:
            trackers.append(LogLines(name, max_steps))
        yield trackers


def only_numbers(row: Mapping[str, Any]) -> dict[str, int | float]:
    """Return the figures of a row that a chart can show."""
    return {key: value for key, value in row.items() if isinstance(value, int | float)}
