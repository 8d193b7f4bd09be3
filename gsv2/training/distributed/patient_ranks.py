"""Ranks that share work which takes longer than they wait for each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from gsv2.training.distributed.background import SLICE_SEC, in_background, is_over
from gsv2.training.distributed.ranks import Distributed

T = TypeVar("T")


class PatientRanks:
    """The ranks of `Distributed`, none of which gives up on the others while they work."""

    def __init__(self, distributed: Distributed) -> None:
        self._distributed = distributed
        self.rank = distributed.rank
        self.world = distributed.world

    def on_main(self, action: Callable[[], T]) -> T:
        """Return on every rank what `action` does on the main one, which takes no time."""
        return action() if self.world == 1 else self._distributed.on_main(action)

    def on_all(self, action: Callable[[], T]) -> T:
        """Return what `action` does on this rank, in a thread where there are others. Collective.

        Raises:
            ValueError, OSError: what the action of any rank raised, as soon as it does.
        """
        if self.world == 1:
            return action()
        future = in_background("share of the work", action)
        while True:
            is_done = is_over(future, SLICE_SEC)
            self._distributed.on_all(lambda: future.result() if is_done else None)  # noqa: B023
            if all(self._distributed.gather(is_done)):
                return future.result()

    def gather(self, value: T) -> list[T]:
        """Return a value of each rank, in rank order."""
        return self._distributed.gather(value)
