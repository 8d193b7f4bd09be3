"""Queue of requests to speak: one speaks, a bounded number waits, none holds on for ever."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from gsv2.serve.errors import RequestError

CheckStop = Callable[[], None]
"""Raises `StoppedError` once a request is not to be answered any more."""
MakePieces = Callable[[CheckStop], Iterator[bytes]]
"""Makes an answer piece by piece, and checks often."""


class StoppedError(RuntimeError):
    """The client has left, the time is over, or the server stops."""


class SpeakingJob:
    """The answer to one request: made by the worker, read by the event loop.

    Args:
        make: makes the answer, in the worker's thread.
        deadline: time by `time.monotonic` at which it must be read to its end.
    """

    def __init__(self, make: MakePieces, deadline: float) -> None:
        self.deadline = deadline
        self.future: Future[None] | None = None
        self._make = make
        self._pieces: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._stop = threading.Event()

    def run(self) -> None:
        """Make the answer."""
        try:
            self._check()
            for piece in self._make(self._check):
                self._check()
                if piece:
                    self._put(piece)
        finally:
            self._put(None)

    def stop(self) -> None:
        """Let the worker leave it at its next check."""
        self._stop.set()
        if self.future is not None:
            self.future.cancel()

    def time_limit(self) -> asyncio.Timeout:
        """Return a context that raises TimeoutError when the time for the request is over."""
        return asyncio.timeout(max(self.deadline - time.monotonic(), 0.0))

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the answer as it is made.

        Raises:
            StoppedError: the time is over, or the server stops.
            ValueError: what making it has raised.
        """
        assert self.future is not None, "the job was submitted"
        while (piece := await self._next()) is not None:
            yield piece
        await asyncio.wrap_future(self.future)  # raises what the worker has raised

    async def _next(self) -> bytes | None:
        try:
            left_sec = max(self.deadline - time.monotonic(), 0.0)
            return await asyncio.wait_for(self._pieces.get(), left_sec)
        except TimeoutError:
            self.stop()
            raise StoppedError("the time for this request is over") from None

    def _check(self) -> None:
        if self._stop.is_set():
            raise StoppedError("the client has left, or the server stops")
        if time.monotonic() > self.deadline:
            raise StoppedError("the time for this request is over")

    def _put(self, piece: bytes | None) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._pieces.put_nowait, piece)


class SpeakingQueue:
    """A worker that speaks for one request after the other; used from one event loop.

    Args:
        max_waiting: requests that may wait beside the one that is answered.
        max_sec: time that a request has in all.
    """

    def __init__(self, max_waiting: int, max_sec: float) -> None:
        self._most = 1 + max_waiting
        self._max_sec = max_sec
        self._jobs: set[SpeakingJob] = set()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="speaking")

    def __len__(self) -> int:
        """Return the number of requests whose answers are not read to their end."""
        return len(self._jobs)

    def submit(self, make: MakePieces) -> SpeakingJob:
        """Take a request; `release` it, however it ends.

        Raises:
            RequestError: 429, too many wait.
        """
        if len(self._jobs) >= self._most:
            raise RequestError(
                429, f"{self._most} requests are being answered or wait; come again", code="busy"
            )
        job = SpeakingJob(make, time.monotonic() + self._max_sec)
        self._jobs.add(job)
        job.future = self._worker.submit(job.run)
        return job

    def release(self, job: SpeakingJob) -> None:
        """Let the next request take the place of one that is over."""
        job.stop()
        self._jobs.discard(job)

    def close(self) -> None:
        """Stop all jobs, and wait for the worker to have left."""
        for job in self._jobs:
            job.stop()
        self._worker.shutdown(wait=True, cancel_futures=True)
