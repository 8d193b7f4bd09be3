"""Pool of processes that work, in order, a little ahead of where it is needed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Protocol, TypeVar

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

AHEAD = 4
"""Items in flight for each process."""


class LostWorkerError(OSError):
    """A process was ended from outside while it worked."""


class Pool(Protocol):
    """Who works on items: processes of this machine, or of a cluster."""

    def map(
        self, function: Callable[[ItemT], ResultT], items: Iterable[ItemT]
    ) -> Iterator[ResultT]:
        """Yield `function(item)` in the order of the items.

        Args:
            function: one of a module, as it goes to other processes; what it raises is raised here.
            items: taken as they are needed, never held together.

        Raises:
            LostWorkerError: a process was ended from outside; the items in flight are named.
        """


@dataclass(frozen=True)
class ProcessPool:
    """Processes of this machine."""

    workers: int = 0
    """Number of processes; 0 works in this one."""

    def map(
        self, function: Callable[[ItemT], ResultT], items: Iterable[ItemT]
    ) -> Iterator[ResultT]:
        """Yield `function(item)` in the order of the items, as `Pool` says."""
        if self.workers == 0:
            yield from map(function, items)
            return
        waiting: deque[tuple[ItemT, Future[ResultT]]] = deque()
        pool = ProcessPoolExecutor(self.workers)
        try:
            for item in items:
                waiting.append((item, pool.submit(function, item)))
                if len(waiting) >= AHEAD * self.workers:
                    yield waiting[0][1].result()
                    waiting.popleft()
            while waiting:
                yield waiting[0][1].result()
                waiting.popleft()
        except BrokenProcessPool as error:
            raise LostWorkerError(
                f"a worker process was ended from outside (out of memory?) at one of "
                f"{len(waiting)} items, {waiting[0][0]!s:.200} to {waiting[-1][0]!s:.200}; what "
                "is done is kept"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


@dataclass(frozen=True, kw_only=True)
class ShardPool:
    """Processes that work on the shards of a corpus, and who is told how far they are."""

    workers: int = 0
    """Number of processes; 0 works in this one."""
    progress: Callable[[int, int], object] | None = None
    """Called with (shards done, shards in all)."""

    def map(
        self, function: Callable[[ItemT], ResultT], shards: Sequence[ItemT]
    ) -> Iterator[ResultT]:
        """Yield `function(shard)` in the order of the shards, as `ProcessPool` does."""
        for done, result in enumerate(ProcessPool(self.workers).map(function, shards), start=1):
            yield result
            if self.progress is not None:
                self.progress(done, len(shards))
