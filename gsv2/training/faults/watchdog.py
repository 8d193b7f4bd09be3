"""Watchdog that ends a rank which waits for others in vain.

A collective over gloo ends with an error when a rank is lost or late. One over NCCL may hold the
process inside the driver, where no Python runs: a thread sees that the rank no longer comes
forward, writes down where all threads stand, and ends the process.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import torch.distributed as dist

from gsv2.training.faults.failure import FlightRecorder

EXIT_STUCK = 1
_GRACE_SEC = 20.0
"""Time that a rank gets beyond the timeout, to leave by the error of its collective."""
_GLOO_LOSSES = (
    "gloo",
    "Connection closed by peer",
    "Connection reset by peer",
    "Socket closed",
    "pair closure",
    "Timed out waiting",
)


class RankTimeoutError(RuntimeError):
    """This rank did not come forward in time."""


def stall_limit_sec(timeout_sec: float) -> float:
    """Return how long a rank may stand still when it may keep others waiting for `timeout_sec`."""
    return timeout_sec + min(_GRACE_SEC, timeout_sec)


class Watchdog:
    """A thread that ends this process when it stands still for longer than the timeout.

    Args:
        recorder: knows when the rank last came forward, and writes down where it stands.
        timeout_sec: how long a rank may keep the others waiting.
        leave: ends the process.
    """

    def __init__(
        self,
        recorder: FlightRecorder,
        timeout_sec: float,
        leave: Callable[[int], object] = os._exit,
    ) -> None:
        self._recorder = recorder
        self._limit_sec = stall_limit_sec(timeout_sec)
        self._leave = leave
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def __enter__(self) -> Self:
        """Begin to watch."""
        self._recorder.beat()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop watching."""
        self._is_over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._is_over.wait(min(1.0, self._limit_sec / 10)):
            still_sec = time.monotonic() - self._recorder.last_beat
            if still_sec > self._limit_sec:
                error = RankTimeoutError(
                    f"no progress for {still_sec:.0f} s; a rank is lost or hangs "
                    "(trainer.rank_timeout_sec)"
                )
                self._recorder.write(error)
                sys.stderr.write(f"gsv2.train: error: {error}\n")
                sys.stderr.flush()
                self._leave(EXIT_STUCK)
                return


def is_lost_rank(error: RuntimeError) -> bool:
    """Tell whether a collective failed because another rank is gone or late."""
    if isinstance(error, dist.DistError):
        return True
    return any(word in str(error) for word in _GLOO_LOSSES)
