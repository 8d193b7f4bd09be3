"""Work that takes long, in a thread that the end of the process does not wait for.

A disk or an object store may hang for good, and no process may be kept by it from leaving.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from functools import partial
from typing import TypeVar

from gsv2.training.distributed.ranks import Distributed

T = TypeVar("T")

SLICE_SEC = 5.0
"""Between two signs of life of ranks that wait for one: shorter than any rank timeout."""


def in_background(name: str, action: Callable[[], T]) -> Future[T]:
    """Begin `action` in a thread of this name; return what will hold its result or its error."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(action())
        except BaseException as error:  # noqa: BLE001  who asks for the result has it raised
            future.set_exception(error)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future


def is_over(future: Future[T] | None, timeout_sec: float) -> bool:
    """Tell whether work is over within so many seconds; what was never begun is."""
    return future is None or wait([future], timeout_sec).done != set()


def wait_for_main(
    distributed: Distributed,
    is_done: Callable[[float], bool],
    beat: Callable[[], object] = lambda: None,
) -> None:
    """Let all ranks wait for the main one, in slices that no timeout takes for its end. Collective.

    Args:
        is_done: tells on the main rank whether the work is over within so many seconds.
        beat: called on every rank between two slices.
    """
    while not distributed.on_main(partial(is_done, SLICE_SEC)):
        beat()


def on_main_in_background(distributed: Distributed, name: str, action: Callable[[], T]) -> T:
    """Do `Distributed.on_main` with an action that may take longer than ranks wait. Collective."""
    if distributed.world == 1:
        return action()
    future = in_background(name, action) if distributed.is_main else None
    wait_for_main(distributed, partial(is_over, future))
    return distributed.on_main(lambda: _result(future))


def _result(future: Future[T] | None) -> T:
    assert future is not None, "of the main rank"
    return future.result()
