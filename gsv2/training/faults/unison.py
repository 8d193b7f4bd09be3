"""What one rank meets, all ranks act on: an error in its own data, or a signal to leave.

A rank that leaves alone lets the others wait for it. So everything that a rank does by itself
goes through `Unison.take`, which ends in a sum over the ranks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from gsv2.training.distributed import Distributed
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
        self._recorder.beat()
        try:
            result = self._signals.unless_told(action)
        except Exception as error:
            self._agree(error)
            raise
        self._recorder.beat()
        if self._agree(None):
            raise StopAgreed
        assert result is not None or self._signals.told is None, "told ranks have agreed to stop"
        return result  # type: ignore[return-value]  # None only where T has it

    def _agree(self, error: Exception | None) -> bool:
        """Return whether any rank was told to leave."""
        flags = [float(self._signals.told is not None), float(error is not None)]
        num_told, num_failed = self._distributed.sum(flags)
        if num_failed:
            line = None if error is None else f"{type(error).__name__}: {error}"
            for rank, of_rank in enumerate(self._distributed.gather(line)):
                if of_rank is not None and error is None:
                    raise PeerError(f"rank {rank} cannot go on: {of_rank}")
        return num_told > 0
