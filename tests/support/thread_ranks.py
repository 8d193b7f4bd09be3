"""Ranks as threads of one process, for what travels as host values."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

from gsv2.training.distributed.ranks import Distributed

T = TypeVar("T")


class ThreadRank:
    """The part of `Distributed` that needs no device."""

    def __init__(self, rank: int, world: int, board: list[Any], barrier: threading.Barrier) -> None:
        self.rank = rank
        self.world = world
        self.is_main = rank == 0
        self._board = board
        self._barrier = barrier

    def gather(self, value: Any) -> list[Any]:
        self._board[self.rank] = value
        self._barrier.wait()
        gathered = list(self._board)
        self._barrier.wait()
        return gathered

    def broadcast(self, value: Any, source: int = 0) -> Any:
        return self.gather(value)[source]

    def on_main(self, action: Callable[[], T]) -> T:
        return Distributed.on_main(cast(Distributed, self), action)

    def on_all(self, action: Callable[[], T]) -> T:
        return Distributed.on_all(cast(Distributed, self), action)

    def sum(self, values: list[float]) -> list[float]:
        return [float(sum(column)) for column in zip(*self.gather(values), strict=True)]

    def start_sum(self, values: Tensor) -> Callable[[], Tensor]:
        return lambda: torch.tensor(self.sum(values.tolist()), dtype=values.dtype)

    def barrier(self) -> None:
        self._barrier.wait()


def run_ranks(world: int, action: Callable[[Distributed], T]) -> list[T | Exception]:
    """Return what `action` returns or raises on each rank."""
    barrier = threading.Barrier(world, timeout=20)
    board: list[Any] = [None] * world
    ranks = [ThreadRank(rank, world, board, barrier) for rank in range(world)]

    def run(rank: ThreadRank) -> T | Exception:
        try:
            return action(cast(Distributed, rank))
        except (ValueError, OSError) as error:
            return error

    with ThreadPoolExecutor(world) as threads:
        return list(threads.map(run, ranks))


def bring_together(part: Any, state: Any, distributed: Distributed) -> None:
    """Merge what all ranks have counted in a part of the accounting into a state."""
    part.merge(distributed.gather(part.drain()), state)
