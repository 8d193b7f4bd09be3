"""Checkpoints beside training: a step is blocked for a copy to the host, a thread writes it.

One write is under way at most. A write that fails leaves the checkpoints before it as they are.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from gsv2.training.checkpoints.checkpoint import (
    CheckpointError,
    checkpoint_folder,
    list_steps,
    remove_checkpoint,
    write_checkpoint,
)
from gsv2.training.checkpoints.config import CheckpointConfig
from gsv2.training.checkpoints.fingerprint import RunIdentity
from gsv2.training.checkpoints.host_copies import HostCopies
from gsv2.training.checkpoints.retention import Retention
from gsv2.training.checkpoints.snapshot import STATE, Snapshot, capture_snapshot, write_snapshot
from gsv2.training.checkpoints.target import Target
from gsv2.training.distributed import Distributed
from gsv2.training.stage import Trainable
from gsv2.training.state import TrainState

_GB = 1e9
_SLICE_SEC = 5.0
"""Between two signs of life of ranks that wait for a write: shorter than any rank timeout."""
_VALIDATION = "validation/"

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
        run: run folder.
        config: the `checkpoint` section.
        distributed: the ranks; the main one writes.
        identity: of the run.
        target: gets a copy of every checkpoint.
        beat: called again and again while ranks wait for a write, so that nobody takes them for
            dead.
    """

    def __init__(
        self,
        run: Path,
        config: CheckpointConfig,
        distributed: Distributed,
        identity: RunIdentity,
        target: Target | None = None,
        beat: Callable[[], object] = lambda: None,
    ) -> None:
        self._run = run
        self._config = config
        self._distributed = distributed
        self._identity = identity
        self._target = target
        self._beat = beat
        self._copies = HostCopies()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._job: _Job | None = None
        self._retention = Retention(config)
        self._blocked_sec = 0.0
        self._write_sec = 0.0
        self._failures = 0
        self._failure: str | None = None

    def save(
        self,
        trainables: Mapping[str, Trainable],
        state: TrainState,
        row: Mapping[str, Any] | None = None,
    ) -> None:
        """Copy the run to the host and begin to write it. Collective.

        Waits for the write before it, if that is still under way.

        Args:
            trainables: with their engines.
            state: where the run stands.
            row: figures of this step, if there are any.

        Raises:
            CheckpointError: the row lacks the figure that `checkpoint.best` names; the
                checkpoint is made all the same.
            CheckpointWriteError: an earlier write failed and `checkpoint.keep_going_on_failure`
                is false.
        """
        start = time.perf_counter()
        self._wait(state.step)
        values, complaint = self._distributed.on_main(partial(self._prepare, state.step, row))
        snapshot = capture_snapshot(
            trainables,
            state,
            self._identity,
            world=self._distributed.world,
            copies=self._copies,
            values=values,
        )
        if snapshot is not None:
            future = self._pool.submit(self._write, snapshot, state.step)
            self._job = _Job(state.step, future)
        self._blocked_sec += time.perf_counter() - start
        if complaint:  # a misspelt name must not cost the steps that are done
            self._wait()
            self._distributed.on_main(self._settle)
            raise CheckpointError(complaint)

    def poll(self) -> None:
        """Tell of a write that has ended since the last call; waits for nothing."""
        if self._job is not None and self._job.future.done():
            self._settle()

    def check(self) -> None:
        """Stop a run that must not go on without a checkpoint. Collective.

        Raises:
            CheckpointWriteError: a write failed and `checkpoint.keep_going_on_failure` is false.
        """
        if not self._config.keep_going_on_failure:
            self._distributed.on_main(self._raise_failure)

    def figures(self) -> dict[str, float]:
        """Return what checkpoints have cost since the last call, for a row."""
        figures = {
            "checkpoint/blocked_sec": self._blocked_sec,
            "checkpoint/write_sec": self._write_sec,
            "checkpoint/failures": self._failures,
        }
        self._blocked_sec = 0.0
        return figures

    def finish(self) -> None:
        """Wait for the last checkpoint. Collective.

        Raises:
            CheckpointWriteError: it could not be written.
        """

        def judge() -> None:
            self._settle()
            self._raise_failure()

        self._wait()
        self._distributed.on_main(judge)

    def close(self) -> None:
        """Wait for the write under way, whatever becomes of it, and end the thread."""
        self._settle()
        self._pool.shutdown()

    def _wait(self, step: int | None = None) -> None:
        """Wait for the write under way, however long it takes. Collective."""

        def is_done() -> bool:
            return self._job is None or wait([self._job.future], _SLICE_SEC).done != set()

        if step is not None and self._job is not None and not self._job.future.done():
            logger.info(
                "step %d waits for the checkpoint of step %d: checkpoint.every_steps is too small "
                "or the disk too slow",
                step,
                self._job.step,
            )
        while not self._distributed.on_main(is_done):
            self._beat()

    def _prepare(
        self, step: int, row: Mapping[str, Any] | None
    ) -> tuple[dict[str, float], str | None]:
        """Tell of the write before; return what judges the next checkpoint, or why nothing can."""
        self._settle()
        if not self._config.keep_going_on_failure:
            self._raise_failure()
        best = self._config.best
        if best is None or row is None:
            return {}, None
        if best in row:
            return {best: float(row[best])}, None
        if best.startswith(_VALIDATION) and not any(key.startswith(_VALIDATION) for key in row):
            return {}, None
        names = ", ".join(sorted(row))
        return {}, f"checkpoint.best is {best!r}, but the row of step {step} has {names}"

    def _settle(self) -> None:
        """Wait for the write under way and tell how it went."""
        job, self._job = self._job, None
        if job is None:
            return
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

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise CheckpointWriteError(self._failure)

    def _write(self, snapshot: Snapshot, step: int) -> float:
        """Write, copy to the target, let old ones go; in the thread. Returns seconds."""
        start = time.perf_counter()
        folder = write_checkpoint(self._run, step, partial(write_snapshot, snapshot))
        self._retention.prune(
            step,
            list_steps(self._run),
            lambda old: (checkpoint_folder(self._run, old) / STATE).read_bytes(),
            lambda old: remove_checkpoint(checkpoint_folder(self._run, old)),
        )
        if self._target is not None:
            self._target.put(folder, step)
            target = self._target
            self._retention.prune(step, target.steps(), target.read_state, target.remove)
        return time.perf_counter() - start
