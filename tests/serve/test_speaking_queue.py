"""Queue of requests: a bound, a time limit, and jobs that stop."""

import asyncio
import threading

import pytest

from gsv2.serve.errors import RequestError
from gsv2.serve.speaking_queue import SpeakingQueue, StoppedError


async def read(job) -> bytes:
    return b"".join([piece async for piece in job.pieces()])


def endless(stopped: threading.Event):
    def make(check):
        yield b"a"
        try:
            while not stopped.wait(0.001):
                check()
        except StoppedError:
            stopped.set()
            raise

    return make


def in_loop(talk, max_waiting=1, max_sec=60.0):
    async def run():
        queue = SpeakingQueue(max_waiting, max_sec)
        try:
            await talk(queue)
        finally:
            queue.close()

    asyncio.run(run())


def test_one_speaks_so_many_wait_and_the_next_is_told_to_come_again():
    go = threading.Event()

    def wait(check):
        assert go.wait(60)
        yield b"first"

    async def talk(queue):
        jobs = [queue.submit(wait), queue.submit(lambda check: iter([b"second"]))]
        with pytest.raises(RequestError, match="2 requests are being answered or wait") as caught:
            queue.submit(wait)
        assert (caught.value.status_code, caught.value.code) == (429, "busy")
        go.set()
        assert [await read(job) for job in jobs] == [b"first", b"second"]
        assert len(queue) == 2  # until they are released
        queue.release(jobs[0])
        assert await read(queue.submit(wait)) == b"first"

    in_loop(talk)


def test_a_request_has_an_end():
    stopped = threading.Event()

    async def talk(queue):
        with pytest.raises(StoppedError, match="the time for this request is over"):
            await read(queue.submit(endless(stopped)))
        assert await asyncio.to_thread(stopped.wait, 60)

    in_loop(talk, max_sec=0.2)


def test_a_released_job_leaves_the_worker_to_the_next():
    stopped = threading.Event()

    async def talk(queue):
        job = queue.submit(endless(stopped))
        assert await anext(job.pieces()) == b"a"
        queue.release(job)
        assert await read(queue.submit(lambda check: iter([b"next"]))) == b"next"
        assert stopped.is_set()

    in_loop(talk)


def test_closing_stops_the_job_that_speaks():
    stopped = threading.Event()

    async def talk(queue):
        job = queue.submit(endless(stopped))
        assert await anext(job.pieces()) == b"a"
        queue.close()
        assert stopped.is_set()

    in_loop(talk)


def test_what_making_raises_reaches_the_reader():
    def fail(check):
        yield b"a"
        raise ValueError("this cannot be spoken")

    async def talk(queue):
        with pytest.raises(ValueError, match="this cannot be spoken"):
            await read(queue.submit(fail))

    in_loop(talk)
