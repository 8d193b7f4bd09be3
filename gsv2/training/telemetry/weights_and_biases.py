"""Weights & Biases, as a tracker of a run. The only importer of wandb."""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from gsv2.files import write_atomically
from gsv2.training.telemetry.tracker import PanelFile

logger = logging.getLogger(__name__)

Mode = Literal["offline", "online"]
NAME = "Weights & Biases"
FINISH_SEC = 10.0
"""Time that the upload gets at the end of a launch; schedulers kill 30 s after they say so. What is
not sent by then lies in `RUN/wandb`."""
_JOIN_SEC = 2.0
"""Time that wandb gets beyond its own limit."""
_WANTED: dict[str, Any] = {
    "silent": True,  # the terminal is ours: wandb neither writes to it nor copies it
    "console": "off",
    # What a process that is killed may lose of wandb's file, from which `wandb sync` uploads;
    # wandb's own 15 s lose records that a checkpoint has, so that no launch would send them again.
    "x_transaction_log_flush_interval": 1.0,
    "finish_timeout": FINISH_SEC,
    "finish_timeout_raises": True,
}
"""Settings; some are of newer versions alone."""


def stored_wandb_id(folder: Path, kept: str | None = None) -> str:
    """Return the id of a run in Weights & Biases, which lives in its folder.

    Args:
        kept: id that a checkpoint has kept, for a folder on a disk that knows nothing yet.
    """
    file = folder / "wandb_id"
    if not file.exists():
        write_atomically(file, kept or secrets.token_hex(4))
    return file.read_text(encoding="utf-8").strip()


class WandbTracker:
    """A run in Weights & Biases whose id lives in the run folder.

    Offline, every launch leaves a folder of that id in `RUN/wandb`; `wandb sync RUN/wandb/*`
    makes one run of them. Nothing that was sent can be taken back: steps that are taken again
    after a rollback are there twice, at the same `step`.

    Args:
        mode: `offline` or `online`; where no server can be reached, `online` becomes `offline`.
        project: project in Weights & Biases.
        values: plain values of the run's config.
    """

    def __init__(
        self, mode: Mode, project: str, folder: Path, name: str, values: Mapping[str, Any]
    ) -> None:
        import wandb

        self._wandb = wandb
        self._folder = folder
        options: dict[str, Any] = {"project": project, "name": name, "config": dict(values)}
        try:
            self._run = self._open(mode, options)
        except wandb.Error as error:
            raise ValueError(f"tracking.wandb={mode}: {error}") from error
        # Steps are a value, not wandb's own counter, which refuses to go back after a rollback.
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")

    def _open(self, mode: Mode, options: Mapping[str, Any]) -> Any:
        try:
            run = self._init(mode, options)
        except self._wandb.errors.AuthenticationError:
            raise
        except (self._wandb.errors.CommError, OSError) as error:
            if mode != "online":
                raise
            logger.error(
                "%s CANNOT BE REACHED, this launch goes on offline; later, `wandb sync %s/wandb/*` "
                "brings what it has: %s",
                NAME, self._folder, " ".join(str(error).split()),
            )  # fmt: skip
            with suppress(OSError):  # its process has the id that did not get through, or is dead
                self._wandb.teardown(exit_code=1)
            return self._init("offline", options)
        if mode == "online":
            logger.info("%s: %s", NAME, run.url)
        return run

    def _init(self, mode: Mode, options: Mapping[str, Any]) -> Any:
        known = self._wandb.Settings.model_fields
        settings = {key: value for key, value in _WANTED.items() if key in known}
        return self._wandb.init(
            **options,
            dir=str(self._folder),
            id=stored_wandb_id(self._folder),
            mode=mode,
            resume="allow",
            settings=self._wandb.Settings(**settings),
        )

    def advance(self, step: int) -> None:
        """Nothing to do."""

    def log(self, step: int, record: Mapping[str, Any]) -> None:
        """Send the numbers of the record."""
        self._run.log({"step": step, **only_numbers(record)})

    def show(self, step: int, files: Sequence[PanelFile]) -> None:
        """Send pictures and sounds."""
        kinds = {".png": self._wandb.Image, ".flac": self._wandb.Audio}
        media = {f"samples/{file.name}": kinds[file.path.suffix](str(file.path)) for file in files}
        self._run.log({"step": step, **media})

    def close(self, kind: type[BaseException] | None = None) -> None:
        """Finish the upload, for a bounded time, and say how the run ended.

        Args:
            kind: class of the exception that ends the run, if one does.
        """

        def finish() -> None:
            if kind is not None and issubclass(kind, SystemExit):  # told to leave: it comes back
                self._run.mark_preempting()
            self._run.finish(exit_code=int(kind is not None))

        try:
            _do_within(FINISH_SEC + _JOIN_SEC, finish)
        except TimeoutError:
            logger.warning(
                "%s took more than %.0f s to finish; `wandb sync %s/wandb/*` brings what it lacks",
                NAME, FINISH_SEC, self._folder,
            )  # fmt: skip


def only_numbers(record: Mapping[str, Any]) -> dict[str, int | float]:
    """Return the figures of a record that a chart can show."""
    return {key: value for key, value in record.items() if isinstance(value, int | float)}


def _do_within(limit_sec: float, action: Callable[[], object]) -> None:
    """Do something in a thread that is left alone after the limit: old wandbs know none.

    Raises:
        TimeoutError: it is not done.
    """
    errors: list[Exception] = []

    def run() -> None:
        try:
            action()
        except Exception as error:  # noqa: BLE001  raised below
            errors.append(error)

    thread = threading.Thread(target=run, name="wandb-finish", daemon=True)
    thread.start()
    thread.join(limit_sec)
    if thread.is_alive():
        raise TimeoutError
    for error in errors:
        raise error
