"""Saver of checkpoints beside training: a step waits for a copy to the host, a thread writes it.

One write is under way at most. A write that fails leaves the checkpoints before it as they are.
Copies to the target follow by themselves (`gsv2.training.checkpoints.uploads`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from gsv2.training.accounting.state import TrainState
from gsv2.training.checkpoints.checkpoint import (
    STATE,
    CheckpointError,
    checkpoint_folder,
    list_steps,
    write_checkpoint,
)
from gsv2.training.checkpoints.config import CheckpointConfig
from gsv2.training.checkpoints.fingerprint import RunIdentity
from gsv2.training.checkpoints.mirror import CheckpointMirror
from gsv2.training.checkpoints.retention import Retention, value_of_record
from gsv2.training.checkpoints.snapshot import Snapshot, capture_snapshot, write_snapshot
from gsv2.training.checkpoints.uploads import CheckpointUploads
from gsv2.training.distributed.background import in_background, is_over, wait_for_main
from gsv2.training.distributed.ranks import Distributed
from gsv2.training.engines.host_copies import HostCopies
from gsv2.training.stage import Trainable

_GB = 1e9
_CLOSE_SEC = 60.0
"""Time that a write gets to end in a run that breaks off."""
_COPY_SEC = 5.0
"""Time that copies get to end in a run that leaves: the next launch makes up for them."""

logger = logging.getLogger(__name__)


class CheckpointWriteError(OSError):
    """A checkpoint that the run cannot do without could not be written."""


class _Job(NamedTuple):
    step: int
    future: Future[float]
    """Seconds that the write took."""


class Saver:
    """Makes the checkpoints of a run.

    Args:
        mirror: gets a copy of every checkpoint.
        beat: called again and again while ranks wait for a write, so that nobody takes them for
            dead.
    """

    def __init__(
        self,
        run: Path,
        config: CheckpointConfig,
        distributed: Distributed,
        identity: RunIdentity,
        mirror: CheckpointMirror | None = None,
        beat: Callable[[], object] = lambda: None,
    ) -> None:
        self._run = run
        self._config = config
        self._distributed = distributed
        self._identity = identity
        self._beat = beat
        self._copies = HostCopies()
        self._job: _Job | None = None
        self._retention = Retention(config)
        self._uploads = CheckpointUploads(run, mirror, Retention(config))
        self._blocked_sec = 0.0
        self._write_sec = 0.0
        self._failures = 0
        self._failure: str | None = None

    def save(
        self,
        trainables: Mapping[str, Trainable],
        state: TrainState,
        record: Mapping[str, Any] | None = None,
    ) -> None:
        """Copy the run to the host and begin to write it. Collective.

        Waits for the write before it, if that is still under way.

        Args:
            trainables: trainables with their engines.
            record: figures of this step, if there are any.

        Raises:
            CheckpointError: the record lacks the figure that `checkpoint.best` names; the
                checkpoint is made all the same.
            CheckpointWriteError: an earlier write failed and `checkpoint.keep_going_on_failure`
                is false.
        """
        start = time.perf_counter()
        self._wait_for_write(state.step)
        values, complaint = self._distributed.on_main(partial(self._prepare, state.step, record))
        snapshot = capture_snapshot(
            trainables,
            state,
            self._identity,
            world=self._distributed.world,
            copies=self._copies,
            values=values,
        )
        if snapshot is not None:
            write = partial(self._write, snapshot, state.step)
            self._job = _Job(state.step, in_background("checkpoint", write))
        self._blocked_sec += time.perf_counter() - start
        if complaint:  # a misspelt name must not cost the steps that are done
            self._wait_for_write()
            self._distributed.on_main(self._finish_write)
            raise CheckpointError(complaint)

    def poll(self) -> None:
        """Tell of what has ended since the last call; waits for nothing."""
        self._finish_write()

    def check(self) -> None:
        """Stop a run that must not go on without a checkpoint. Collective.

        Raises:
            CheckpointWriteError: a write failed and `checkpoint.keep_going_on_failure` is false.
        """
        if not self._config.keep_going_on_failure:
            self._distributed.on_main(self._judge)

    def figures(self) -> dict[str, float]:
        """Return what checkpoints have cost since the last call, for a record."""
        figures = {
            "checkpoint/blocked_sec": self._blocked_sec,
            "checkpoint/write_sec": self._write_sec,
            "checkpoint/failures": self._failures + self._uploads.num_failures,
        }
        self._blocked_sec = 0.0
        return figures

    def finish(self, beat: Callable[[], object] | None = None) -> None:
        """Wait for the last checkpoint, here and at the target. Collective.

        Args:
            beat: called instead of the usual one; what it raises ends the waiting.

        Raises:
            CheckpointWriteError: it could not be written.
        """
        self._wait_for_write(beat=beat)
        wait_for_main(self._distributed, self._uploads.is_over, beat or self._beat)
        self._distributed.on_main(self._judge)

    def leave(self) -> None:
        """Wait for the last checkpoint here, and for a few seconds at the target. Collective.

        Raises:
            CheckpointWriteError: it could not be written here.
        """
        self._wait_for_write()
        self._distributed.on_main(partial(self._judge, copies=False))
        self._distributed.on_main(partial(self._uploads.give_up, _COPY_SEC))

    def close(self) -> None:
        """Give what is under way some time to end, and say what has not."""
        if self._job is not None and not is_over(self._job.future, _CLOSE_SEC):
            logger.error(
                "CHECKPOINT GIVEN UP: that of step %d is not written after %.0f s, the earlier "
                "ones stay",
                self._job.step, _CLOSE_SEC,
            )  # fmt: skip
        self._finish_write()
        self._uploads.give_up(_COPY_SEC)

    def _wait_for_write(
        self, step: int | None = None, beat: Callable[[], object] | None = None
    ) -> None:
        """Wait for the write under way, however long it takes. Collective."""
        if step is not None and self._job is not None and not self._job.future.done():
            logger.info(
                "step %d waits for the checkpoint of step %d: checkpoint.every_steps is too small "
                "or the disk too slow",
                step,
                self._job.step,
            )
        future = None if self._job is None else self._job.future
        wait_for_main(self._distributed, partial(is_over, future), beat or self._beat)

    def _prepare(
        self, step: int, record: Mapping[str, Any] | None
    ) -> tuple[dict[str, float], str | None]:
        """Tell of the write before; return what judges the next checkpoint, or why nothing can."""
        self._finish_write()
        if not self._config.keep_going_on_failure:
            self._judge()
        return value_of_record(self._config.best, step, record)

    def _finish_write(self) -> None:
        """Tell of a write that has ended since the last call."""
        if self._job is None or not self._job.future.done():
            return
        job, self._job = self._job, None
        try:
            self._write_sec = job.future.result()
        except OSError as error:
            self._failures += 1
            self._failure = f"the checkpoint of step {job.step} could not be written: {error}"
            logger.error("CHECKPOINT FAILED, the earlier ones stay: %s", self._failure)
        else:
            self._failure = None
            size, seconds = self._copies.num_bytes / _GB, self._write_sec
            logger.info("checkpoint of step %d: %.2f GB in %.1f s", job.step, size, seconds)

    def _judge(self, *, copies: bool = True) -> None:
        """Raise what became of the newest checkpoint, here and, with `copies`, at the target."""
        self._finish_write()
        failure = self._failure or (self._uploads.failure if copies else None)
        if failure is not None:
            raise CheckpointWriteError(failure)

    def _write(self, snapshot: Snapshot, step: int) -> float:
        """Write, hand over to the target, let old ones go; in the thread. Returns seconds."""
        start = time.perf_counter()
        write_checkpoint(self._run, step, partial(write_snapshot, snapshot))
        seconds = time.perf_counter() - start
        self._uploads.send(step)
        self._retention.prune(
            step,
            partial(list_steps, self._run),
            lambda old: (checkpoint_folder(self._run, old) / STATE).read_bytes(),
            self._uploads.remove_here,
        )
        return seconds
