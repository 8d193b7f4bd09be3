"""Ray: a cluster whose processes work, in order, a little ahead of where it is needed."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from gsv2.data.process_pool import AHEAD, LostWorkerError

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

_RETRIES = 3
"""Times that an item is worked on again whose process, or node, was lost."""


class RayError(ValueError):
    """Ray is not installed, or its cluster cannot be used."""


@dataclass(frozen=True)
class RayPool:
    """Processes of a Ray cluster, or of a Ray of this machine where there is no cluster.

    The cluster is the one that this process, `RAY_ADDRESS` or `ray start` on this machine names.
    Its nodes have gsv2, and see the files and the working folder under the same paths.
    """

    workers: int = 0
    """Number of processes; 0 = all processors of the cluster."""

    def map(
        self, function: Callable[[ItemT], ResultT], items: Iterable[ItemT]
    ) -> Iterator[ResultT]:
        """Yield `function(item)` in the order of the items, as `gsv2.data.process_pool.Pool` says.

        An item whose process or node was lost is worked on again, three times.

        Raises:
            RayError: Ray is not installed, or its cluster cannot be reached.
        """
        waiting: deque[tuple[ItemT, Any]] = deque()
        with _cluster(self.workers) as ray:
            workers = self.workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
            work = ray.remote(_work).options(num_cpus=1, max_retries=_RETRIES)
            shared, folder = ray.put(function), str(Path.cwd())
            try:
                for item in items:
                    waiting.append((item, work.remote(shared, item, folder)))
                    if len(waiting) >= AHEAD * workers:
                        yield _result(ray, *waiting.popleft())
                while waiting:
                    yield _result(ray, *waiting.popleft())
            finally:
                for _, unfinished in waiting:
                    ray.cancel(unfinished)


def _work(function: Callable[[ItemT], ResultT], item: ItemT, folder: str) -> ResultT:
    """Work on an item, in the folder that its relative paths start from."""
    try:
        os.chdir(folder)
    except OSError as error:
        raise RayError(
            f"node {os.uname().nodename} of the Ray cluster lacks the folder {folder} ({error}); "
            "all nodes must see the files under the same paths"
        ) from error
    return function(item)


def _result(ray: ModuleType, item: object, reference: Any) -> Any:
    """Return the result of an item, or raise what its function raised."""
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error
    except ray.exceptions.RayError as error:
        raise LostWorkerError(
            f"{item!s:.200}: the process that worked at it was lost {_RETRIES + 1} times "
            f"({type(error).__name__}: out of memory?); what is done is kept"
        ) from error


@contextmanager
def _cluster(workers: int) -> Iterator[ModuleType]:
    """Lend Ray, connected; what is connected here is left at the end."""
    ray = _ray()
    if ray.is_initialized():
        yield ray
        return
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        ray.init(address="auto", **quiet)
    except (ConnectionError, RuntimeError) as error:
        if "RAY_ADDRESS" in os.environ:
            line = " ".join(str(error).split())
            raise RayError(f"RAY_ADDRESS={os.environ['RAY_ADDRESS']}: {line}") from error
        _begin(ray, workers, quiet)
    try:
        yield ray
    finally:
        ray.shutdown()


def _begin(ray: ModuleType, workers: int, quiet: Mapping[str, Any]) -> None:
    """Begin a Ray of this machine."""
    try:
        ray.init(address="local", num_cpus=workers or None, include_dashboard=False, **quiet)
    except Exception as error:  # Ray raises this class itself where a node does not start
        line = " ".join(str(error).split())
        raise RayError(f"--engine ray: no Ray began on this machine: {line}") from error


def _ray() -> ModuleType:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # else it reports over the network
    try:
        import ray
    except ImportError as error:
        raise RayError(f"--engine ray needs Ray ({error}): pip install 'gsv2[ray]'") from error
    return ray
