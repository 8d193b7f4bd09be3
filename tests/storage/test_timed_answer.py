"""Servers that are never silent, and never done with what comes before the content."""

from __future__ import annotations

import io
import itertools
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

import pytest

from gsv2.storage import timed_answer
from gsv2.storage.config import RemoteConfig
from gsv2.storage.storage import Storage
from gsv2.storage.timed_answer import HeaderReader

PAUSE_SEC = 0.02
LIMIT_SEC = 0.3
QUICK = RemoteConfig(retries=0, timeout_sec=LIMIT_SEC)
HEADERS = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"
CONTENT = bytes(range(100))


@contextmanager
def serve(*answers: Iterable[bytes]) -> Iterator[str]:
    """Answer one request of a connection after the other, a piece at a time; yield the URL."""
    stopped = threading.Event()

    def answer_all(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            for pieces in answers:
                connection.recv(10_000)
                for piece in pieces:
                    connection.sendall(piece)
                    if stopped.wait(PAUSE_SEC):
                        return
            connection.recv(10_000)  # the client hangs up

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer_all, args=(listener,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/a.tar"
        finally:
            stopped.set()
            thread.join()


def drip(text: bytes) -> Iterator[bytes]:
    """Yield byte after byte, for ever."""
    return (bytes([byte]) for byte in itertools.cycle(text))


@pytest.mark.parametrize(
    "pieces",
    [
        drip(b"HTTP/1.1 200 "),  # a status without an end
        itertools.chain([b"HTTP/1.1 200 OK\r\n"], drip(b"x")),  # one line without an end
        itertools.chain([b"HTTP/1.1 200 OK\r\n"], drip(b"X-Line: a\r\n")),
        itertools.repeat(b"HTTP/1.1 100 Continue\r\n\r\n"),
        itertools.chain([b"HTTP/1.1 302 Found\r\nLocation: /b\r\n\r\n"], drip(b"moved")),
    ],
    ids=["status", "line", "headers", "continue", "redirection"],
)
def test_headers_that_come_byte_by_byte_for_ever_are_an_error_with_the_limit(pieces):
    with serve(pieces) as url, pytest.raises(OSError, match="no end of its headers") as caught:
        Storage(QUICK).read(url, 1000)
    assert url in str(caught.value)
    assert f"in {LIMIT_SEC:g} s (data.remote.timeout_sec)" in str(caught.value)


def test_a_server_that_says_nothing_is_called_silent():
    with serve([b""]) as url, pytest.raises(OSError, match=rf"silent for {LIMIT_SEC:g} s"):
        Storage(QUICK).read(url, 1000)


def test_headers_without_end_do_not_fill_the_memory(monkeypatch):
    monkeypatch.setattr(timed_answer, "MAX_HEADER_BYTES", 1000)
    server, client = socket.socketpair()
    with server, client:
        server.sendall(bytes(2000))
        client.settimeout(30.0)
        reader = HeaderReader(client.makefile("rb").detach(), client)
        with (
            io.BufferedReader(reader) as file,
            pytest.raises(OSError, match="more than 1000 bytes"),
        ):
            file.read()


def test_content_may_take_longer_than_headers_and_a_connection_serves_again():
    slowly = [bytes([byte]) for byte in CONTENT]
    limit_sec = len(slowly) * PAUSE_SEC / 2
    with serve([HEADERS, *slowly], [HEADERS + CONTENT]) as url:
        storage = Storage(RemoteConfig(retries=0, timeout_sec=limit_sec))
        assert [storage.read(url, 1000) for _ in range(2)] == [CONTENT] * 2


def test_a_limit_of_0_waits_for_ever():
    dripped = [bytes([byte]) for byte in HEADERS]
    with serve([*dripped, CONTENT]) as url:
        assert Storage(RemoteConfig(retries=0, timeout_sec=0.0)).read(url, 1000) == CONTENT
