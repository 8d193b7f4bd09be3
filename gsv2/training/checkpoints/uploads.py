"""Uploads of checkpoints to the mirror, beside the run that makes the next ones.

A mirror may be slower than the run: the newest checkpoint goes first, and of older ones what is
still in the run folder when their turn comes.
"""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import Future
from pathlib import Path

from gsv2.files import remove_folder
from gsv2.training.checkpoints.checkpoint import checkpoint_folder, list_steps
from gsv2.training.checkpoints.mirror import CheckpointMirror
from gsv2.training.checkpoints.retention import Retention
from gsv2.training.distributed.background import in_background, is_over

logger = logging.getLogger(__name__)


class CheckpointUploads:
    """Brings checkpoints of a run to its target, one at a time.

    Args:
        mirror: mirror of the run; None brings them nowhere.
        retention: says which stay there.
    """

    def __init__(self, run: Path, mirror: CheckpointMirror | None, retention: Retention) -> None:
        self._run = run
        self._mirror = mirror
        self._retention = retention
        self._lock = threading.Lock()
        self._waiting: set[int] = set()
        self._sending: int | None = None
        self._unwanted: int | None = None
        self._is_given_up = False
        self._newest = 0
        self._thread: Future[None] | None = None
        self.num_failures = 0
        self.failure: str | None = None
        """Why the newest checkpoint that was sent has not arrived."""

    def send(self, step: int) -> None:
        """Bring a checkpoint there when its turn comes."""
        if self._mirror is None:
            return
        self._raise_own()
        with self._lock:
            self._waiting.add(step)
            if self._sending is None:
                self._sending = step
                self._thread = in_background("checkpoint copy", self._send_all)

    def remove_here(self, step: int) -> None:
        """Take a checkpoint out of the run folder; one that is being sent goes when that is done.

        Raises:
            OSError: it cannot be removed.
        """
        with self._lock:
            if step == self._sending:
                self._unwanted = step
            else:
                remove_folder(checkpoint_folder(self._run, step))

    def is_over(self, timeout_sec: float) -> bool:
        """Tell whether nothing is on its way within so many seconds."""
        over = is_over(self._thread, timeout_sec)
        self._raise_own()
        return over

    def give_up(self, timeout_sec: float) -> None:
        """Wait for so many seconds, once; say what will not be there."""
        if not self._is_given_up and not self.is_over(timeout_sec):
            self._is_given_up = True
            with self._lock:
                steps = ", ".join(map(str, sorted(self._waiting)))
            logger.error(
                "CHECKPOINT COPY GIVEN UP: the target lacks that of step %s, which is in %s; the "
                "next launch there sends the newest",
                steps, self._run,
            )  # fmt: skip

    def _send_all(self) -> None:
        while (step := self._next()) is not None:
            self._send(step)
            with self._lock:
                self._waiting.discard(step)

    def _next(self) -> int | None:
        """Choose the newest that waits and is still here; None when all is done."""
        with self._lock:
            unwanted, self._unwanted = self._unwanted, None
            if unwanted is not None:
                self._remove_sent(unwanted)
            self._waiting &= set(list_steps(self._run))
            self._sending = max(self._waiting, default=None)
            return self._sending

    def _send(self, step: int) -> None:
        mirror, start = self._mirror, time.perf_counter()
        assert mirror is not None, "nothing is sent without one"
        failure = None
        try:
            mirror.put(checkpoint_folder(self._run, step), step)
        except OSError as error:
            self.num_failures += 1
            failure = f"the checkpoint of step {step} could not be copied: {error}"
            logger.error("CHECKPOINT COPY FAILED, it is here alone: %s", failure)
        else:
            seconds = time.perf_counter() - start
            logger.info("checkpoint of step %d: copied in %.1f s", step, seconds)
        if step >= self._newest:
            self._newest, self.failure = step, failure
        if failure is None:
            self._retention.prune(self._newest, mirror.steps, mirror.read_state, mirror.remove)

    def _remove_sent(self, step: int) -> None:
        try:
            remove_folder(checkpoint_folder(self._run, step))
        except OSError as error:
            logger.warning("OLD CHECKPOINT NOT REMOVED, of step %d: %s", step, error)

    def _raise_own(self) -> None:
        """Raise an error of our own, which has ended the thread."""
        if self._thread is not None and self._thread.done():
            self._thread.result()
