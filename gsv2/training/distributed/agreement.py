"""What one rank meets, all ranks act on: an error in its own data, or a signal to leave.

A rank that leaves alone lets the others wait for it. So everything that a rank does by itself
goes through `Unison`, and ends in a sum over the ranks: at once with `take`; with `begin`, one that
is under way while the rank goes on with what all have agreed on before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, NoReturn, TypeVar

import torch
from torch import Tensor

from gsv2.training.distributed.ranks import Distributed
from gsv2.training.faults.failure import FlightRecorder
from gsv2.training.faults.signals import StopSignals

T = TypeVar("T")


class PeerError(ValueError):
    """Another rank cannot go on."""


class StopAgreed(Exception):
    """All ranks know that one of them was told to leave; raised at the same place on each."""


class Unison:
    """One rank among others that go on, stop and fail together.

    Args:
        distributed: the ranks.
        signals: what this rank was told.
        recorder: takes note that this rank is alive.
    """

    def __init__(
        self, distributed: Distributed, signals: StopSignals, recorder: FlightRecorder
    ) -> None:
        self._distributed = distributed
        self._signals = signals
        self._recorder = recorder

    def take(self, action: Callable[[], T]) -> T:
        """Return what `action` does on this rank alone. Collective.

        Raises:
            StopAgreed: a rank was told to leave, before or in `action`.
            PeerError: another rank's `action` failed; this one's error is raised as it is.
        """
        return self.begin(lambda: (action(), ()), 0).settle()[0]

    def begin(self, action: Callable[[], tuple[T, Sequence[float]]], num_counts: int) -> Begun[T]:
        """Do `action` on this rank and begin to tell the others; every rank settles it later.

        Args:
            action: returns its result and `num_counts` figures to be summed over the ranks.
            num_counts: how many.
        """
        self._recorder.beat()
        done, error = None, None
        try:
            done = self._signals.unless_told(action)
        except Exception as failure:  # noqa: BLE001  `settle` raises it
            error = failure
        self._recorder.beat()
        flags = [float(self._signals.told is not None), float(error is not None)]
        counts = done[1] if done is not None else [0.0] * num_counts
        values = torch.tensor((*flags, *counts), dtype=torch.float64)
        return Begun(self._distributed.start_sum(values), self._distributed, done, error)


@dataclass(frozen=True)
class Begun(Generic[T]):
    """What a rank has done by itself, and the others are to hear of."""

    _finish_sums: Callable[[], Tensor]
    """Returns over all ranks: how many were told to leave, how many failed, and the counts."""
    _distributed: Distributed
    _done: tuple[T, Sequence[float]] | None
    """None if the rank failed, or was told to leave."""
    _error: Exception | None

    def settle(self) -> tuple[T, Sequence[float]]:
        """Return this rank's result, and the counts over all ranks. Collective.

        Raises:
            StopAgreed: a rank was told to leave, before or in its action.
            PeerError: another rank's action failed; this one's error is raised as it is.
        """
        num_told, num_failed, *counts = self._finish_sums().tolist()
        if num_failed:
            self._raise_failure()
        if num_told:
            raise StopAgreed
        assert self._done is not None, "told ranks have agreed to stop"
        return self._done[0], counts

    def _raise_failure(self) -> NoReturn:
        error = self._error
        line = None if error is None else f"{type(error).__name__}: {error}"
        lines = self._distributed.gather(line)
        if error is not None:
            raise error
        rank = next(rank for rank, of_rank in enumerate(lines) if of_rank is not None)
        raise PeerError(f"rank {rank} cannot go on: {lines[rank]}")
