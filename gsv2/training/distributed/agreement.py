"""Agreement of the ranks on what one of them met: an error in its own data, a signal to leave.

A rank that leaves alone lets the others wait for it. So everything that a rank does by itself
goes through `RankAgreement`, and ends in a sum over the ranks: at once with `take`; with `begin`,
one that is under way while the rank goes on with what all have agreed on before.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, NoReturn, TypeVar

import torch
from torch import Tensor

from gsv2.training.distributed.ranks import Distributed
from gsv2.training.faults.failure import FlightRecorder
from gsv2.training.faults.signals import Interrupted, StopSignals

T = TypeVar("T")


class PeerError(ValueError):
    """Another rank cannot go on."""


class StopAgreed(Exception):
    """All ranks know that one of them was told to leave; raised at the same place on each."""


class RankAgreement:
    """One rank among others that go on, stop and fail together.

    Args:
        signals: signals that this process was sent.
        recorder: is told that this rank is alive.
    """

    def __init__(
        self, distributed: Distributed, signals: StopSignals, recorder: FlightRecorder
    ) -> None:
        self.distributed = distributed
        self.signals = signals
        self.recorder = recorder

    def take(self, action: Callable[[], T]) -> T:
        """Return what `action` does on this rank alone. Collective.

        Raises:
            StopAgreed: a rank was told to leave, before or in `action`.
            PeerError: another rank's `action` failed; this one's error is raised as it is.
        """
        return self.begin(lambda: (action(), ()), 0).wait()[0]

    def begin(
        self, action: Callable[[], tuple[T, Sequence[float]]], num_counts: int
    ) -> PendingAgreement[T]:
        """Do `action` on this rank and begin to tell the others; every rank waits for it later.

        Args:
            action: returns its result and `num_counts` figures to be summed over the ranks.
        """
        self.recorder.last_beat = time.monotonic()
        done, error = None, None
        try:
            done = interruptible(self.signals, action)
        except Exception as failure:  # noqa: BLE001  `wait` raises it
            error = failure
        self.recorder.last_beat = time.monotonic()
        flags = [float(self.signals.stop_requested is not None), float(error is not None)]
        counts = done[1] if done is not None else [0.0] * num_counts
        values = torch.tensor((*flags, *counts), dtype=torch.float64)
        return PendingAgreement(self.distributed.start_sum(values), self, done, error)


@dataclass(frozen=True)
class PendingAgreement(Generic[T]):
    """Result of a rank's own action, of which the others are still to hear."""

    _finish_sums: Callable[[], Tensor]
    """Returns over all ranks: how many were told to leave, how many failed, and the counts."""
    _agreement: RankAgreement
    _done: tuple[T, Sequence[float]] | None
    """None if the rank failed, or was told to leave."""
    _error: Exception | None

    def wait(self) -> tuple[T, Sequence[float]]:
        """Return this rank's result, and the counts over all ranks. Collective.

        Raises:
            StopAgreed: a rank was told to leave, before or in its action.
            PeerError: another rank's action failed; this one's error is raised as it is.
        """
        num_stopping, num_failed, *counts = self._finish_sums().tolist()
        self._agreement.recorder.last_beat = time.monotonic()
        if num_failed:
            self._raise_failure()
        if num_stopping:
            raise StopAgreed
        assert self._done is not None, "ranks that are to leave have agreed to stop"
        return self._done[0], counts

    def _raise_failure(self) -> NoReturn:
        error = self._error
        line = None if error is None else f"{type(error).__name__}: {error}"
        lines = self._agreement.distributed.gather(line)
        if error is not None:
            raise error
        rank = next(rank for rank, of_rank in enumerate(lines) if of_rank is not None)
        raise PeerError(f"rank {rank} cannot go on: {lines[rank]}")


def interruptible(signals: StopSignals, action: Callable[[], T]) -> T | None:
    """Return what `action` does; None if told to leave before or during it, which ends it.

    For what may take long and need not be finished, such as waiting for data.
    """
    try:
        signals.is_interruptible = True
        try:
            return None if signals.stop_requested is not None else action()
        finally:
            signals.is_interruptible = False
    except Interrupted:
        return None
    except Exception:  # of any kind: the workers had the same signal and are gone
        if signals.stop_requested is not None:
            return None
        raise
