"""Stop signals, SIGTERM and SIGUSR1: save, leave with a code that launchers start again on.

Schedulers announce the end of a job with one of them. Before the first step there is nothing to
save, and the process leaves at once; later it leaves at the end of its step, with all ranks
(`gsv2.training.distributed.agreement`). Further signals change nothing for a minute; after that,
one makes the process leave without its checkpoint. SIGINT stays Python's own: a person at a
terminal does not wait.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self

EXIT_REQUEUE = 85
"""Exit code of a run that was told to leave: the same command goes on from its checkpoint."""
STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
_PATIENCE_SEC = 60.0
"""Time after the first signal in which others are ignored: launchers deliver one twice, to the
process group and again to every rank, and schedulers send SIGTERM after SIGUSR1. The checkpoint
that the first one asked for must not be lost by them."""


class Preempted(SystemExit):
    """The run was told to leave, and has saved what there was."""

    def __init__(self, message: str) -> None:
        super().__init__(EXIT_REQUEUE)
        self.message = message


class Interrupted(BaseException):
    """Leaves what `StopSignals.is_interruptible`."""


def exit_at_signal() -> None:
    """Leave with `EXIT_REQUEUE` at a signal that comes while programs are still being imported."""
    for number in STOP_SIGNALS:
        signal.signal(number, _leave)


def _leave(number: int, frame: FrameType | None) -> None:
    os._exit(EXIT_REQUEUE)


class StopSignals:
    """Whether this process was told to leave; handles signals as a context manager.

    Outside of the main thread, where Python delivers no signals, and without `with`, nobody is
    ever told.
    """

    def __init__(self) -> None:
        self.stop_requested: str | None = None
        """Name of the signal that told this process to leave."""
        self.is_interruptible = False
        """Whether a signal ends at once what is being done, by `Interrupted`."""
        self._requested_at = 0.0
        self._is_deferred = False
        self._pid = os.getpid()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        """Take over the signals."""
        if threading.current_thread() is threading.main_thread():
            self._pid = os.getpid()
            kept = (*STOP_SIGNALS, signal.SIGCHLD)
            self._before = {number: signal.getsignal(number) for number in kept}
            for number in STOP_SIGNALS:
                signal.signal(number, self._take)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            if number in STOP_SIGNALS or self.stop_requested is not None:
                signal.signal(number, handler)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Inside, a signal is only taken note of; who asks for `stop_requested` acts on it."""
        self._is_deferred = True
        try:
            yield
        finally:
            self._is_deferred = False

    def _take(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._pid:
            _take_in_child(number)
        elif self.stop_requested is None:
            self.stop_requested = signal.Signals(number).name
            self._requested_at = time.monotonic()
            # torchrun signals the whole process group. Workers that died of it are no error,
            # which torch would raise wherever this process is, in a checkpoint for example.
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            if self.is_interruptible:
                raise Interrupted
            if not self._is_deferred:
                name = self.stop_requested
                raise Preempted(f"told to leave by {name}, when there was nothing to save")
        elif time.monotonic() - self._requested_at > _PATIENCE_SEC:
            os.write(2, b"gsv2.train: told to leave again; leaving without a checkpoint\n")
            os._exit(EXIT_REQUEUE)


def _take_in_child(number: int) -> None:
    """Do what a process that was forked from the one with the handlers does by itself."""
    if number == signal.SIGTERM:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
