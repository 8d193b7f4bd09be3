"""Pool of processes that work, in order, a little ahead of where it is needed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

_AHEAD = 4  # items in flight for each process


def map_ahead(
    function: Callable[[ItemT], ResultT], items: Iterable[ItemT], workers: int
) -> Iterator[ResultT]:
    """Yield `function(item)` in the order of the items.

    Args:
        function: one of a module, as it goes to other processes; what it raises is raised here.
        items: taken as they are needed, never held together.
        workers: processes; 0 works in this one.
    """
    if workers == 0:
        yield from map(function, items)
        return
    waiting: deque[Future[ResultT]] = deque()
    pool = ProcessPoolExecutor(workers)
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= _AHEAD * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
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
        """Yield `function(shard)` in the order of the shards, as `map_ahead` does."""
        for done, result in enumerate(map_ahead(function, shards, self.workers), start=1):
            yield result
            if self.progress is not None:
                self.progress(done, len(shards))
