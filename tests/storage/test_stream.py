"""Streams against a real server: whatever breaks, the bytes are those of the file."""

from __future__ import annotations

import gc
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gsv2.storage.body import RefusedError
from gsv2.storage.config import RemoteConfig
from gsv2.storage.storage import Storage
from gsv2.storage.stream import RemoteStream
from tests.support.folder_server import FolderServer, serve_folder

CONTENT = np.random.default_rng(0).bytes(3_000_001)
FAST = RemoteConfig(retries=3, backoff_sec=0.001, timeout_sec=0.5)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FolderServer]:
    (tmp_path / "file.tar").write_bytes(CONTENT)
    with serve_folder(tmp_path) as served:
        yield served


def open_stream(server: FolderServer, offset: int = 0) -> RemoteStream:
    return Storage(FAST).open(f"{server.url}/file.tar", offset)


def read_in_pieces(stream: RemoteStream, size: int = 300_000) -> bytes:
    """Read to the end by reads that do not match the server's pieces."""
    with stream:
        content = b"".join(iter(lambda: stream.read(size), b""))
        assert stream.position == len(CONTENT)
    return content


FAULTS = {
    "nothing": {},
    "no ranges": {"ranges": False},
    "no length": {"content_length": False},
    "503 twice": {"failures": 2},
    "429": {"failures": 1, "failure_status": 429, "retry_after": "0.1"},
    "cut in the middle, three times in a row": {"cut_at": 1_234_567, "cuts": 3},
    "cut at the first byte": {"cut_at": 0, "cuts": 2},
    "cut at the last byte": {"cut_at": len(CONTENT) - 1, "cuts": 2},
    "cut without ranges": {"cut_at": 2_000_000, "cuts": 3, "ranges": False},
    "stall beyond the timeout": {"stall_at": 1_000_000, "stalls": 1},
    "in chunks": {"chunked": True, "ranges": False},
    "in chunks that break off": {"chunked": True, "cut_at": 500_000, "cut_step": 1, "cuts": 3},
    "no ETag": {"etag": None, "cut_at": 5, "cuts": 1},
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_bytes_are_those_of_the_file_whatever_breaks(server, fault):
    for name, value in FAULTS[fault].items():
        setattr(server.behaviour, name, value)
    assert read_in_pieces(open_stream(server)) == CONTENT


def test_a_broken_read_goes_on_at_its_byte(server):
    server.behaviour.cut_at, server.behaviour.cuts = 2_000_000, 1
    assert read_in_pieces(open_stream(server)) == CONTENT
    assert server.served["file.tar"] <= len(CONTENT) + (64 << 10)
    first, *_ = server.ranges
    assert 2_000_000 - (64 << 10) <= int(first[6:-1]) <= 2_000_000


def test_progress_renews_the_attempts(server):
    server.behaviour.cut_at, server.behaviour.cuts = 0, 3
    stream = open_stream(server)
    for place in (100_000, 200_000, 300_000):
        assert stream.read(place - stream.position) == CONTENT[place - 100_000 : place]
        server.behaviour.cut_at, server.behaviour.cuts = place + 50_000, 3
    stream.close()


def test_attempts_end_with_one_error_that_names_file_byte_and_reason(server, caplog):
    server.behaviour.cut_at, server.behaviour.cuts = 100_000, 99
    stream = open_stream(server, 100_000)
    with caplog.at_level(logging.WARNING), pytest.raises(OSError) as raised:  # noqa: PT011
        stream.read(10)
    assert f"{server.url}/file.tar cannot be read at byte 100000, after 4 attempts: " in str(
        raised.value
    )
    assert len(caplog.records) == 3, "each retry is logged"
    assert "attempt 2 of 4 in 0.0 s" in caplog.records[0].getMessage()
    assert server.requests["file.tar"] == 4


def test_no_server_at_all_is_an_error_with_its_cause():
    stream = Storage(FAST).open("http://127.0.0.1:9/x.tar?sig=secret")
    with pytest.raises(OSError, match=r"x.tar\?\.\.\. cannot be .* Connection refused") as raised:
        stream.read(1)
    assert "secret" not in str(raised.value)


def test_the_reason_of_a_timeout_is_the_silence(server):
    server.behaviour.stall_at, server.behaviour.stalls = 0, 99
    stream = Storage(RemoteConfig(retries=0, timeout_sec=0.1)).open(f"{server.url}/file.tar")
    with pytest.raises(OSError, match=r"the server was silent for 0\.1 s"):
        stream.read(1)


def test_a_server_that_asks_for_patience_gets_it(server):
    server.behaviour.failures, server.behaviour.failure_status = 1, 429
    server.behaviour.retry_after = "0.3"
    start = time.monotonic()
    with open_stream(server) as stream:
        assert stream.read(5) == CONTENT[:5]
    assert time.monotonic() - start >= 0.3


def test_a_missing_file_is_known_at_once(server):
    with pytest.raises(FileNotFoundError, match=r"none\.tar does not exist"):
        Storage(FAST).open(f"{server.url}/none.tar").read(1)
    assert server.requests["none.tar"] == 1


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_refusal_is_one_error_at_once(server, status):
    server.behaviour.failures, server.behaviour.failure_status = 9, status
    with pytest.raises(RefusedError, match=f"said {status}"):
        open_stream(server).read(1)
    assert server.requests["file.tar"] == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [({"etag": '"2"'}, "its version was"), ({"extra_length": 5, "etag": None}, "its size was")],
)
def test_a_file_that_changes_is_an_error_and_never_a_mix(server, change, message):
    server.behaviour.cut_at, server.behaviour.cuts = 1_000_000, 1
    with open_stream(server) as stream:
        assert stream.read(500_000) == CONTENT[:500_000]
        for name, value in change.items():
            setattr(server.behaviour, name, value)
        with pytest.raises(RefusedError, match=message):
            stream.read(len(CONTENT))


def test_a_file_shorter_than_announced_is_an_error(server):
    server.behaviour.extra_length = 10
    with open_stream(server) as stream, pytest.raises(OSError, match=r"size was 3000011, now"):
        stream.read(len(CONTENT) + 10)


def test_reading_past_the_end_gives_what_is_there(server):
    with open_stream(server, len(CONTENT) - 3) as stream:
        assert stream.read(10) == CONTENT[-3:]
        assert stream.read(10) == b""
    with open_stream(server, len(CONTENT) + 5) as stream:
        assert stream.read(10) == b""


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("size", [1000, 2_500_000])
def test_skipping_costs_bytes_only_where_it_must(server, ranges, size):
    server.behaviour.ranges = ranges
    with open_stream(server) as stream:
        assert stream.read(100) == CONTENT[:100]
        stream.skip(size)
        assert stream.read(100) == CONTENT[100 + size : 200 + size]
    asked_again = ranges and size > 1 << 20
    assert server.requests["file.tar"] == (2 if asked_again else 1)


def test_an_interrupted_stream_stops_waiting(server):
    server.behaviour.stall_at, server.behaviour.stalls = 1000, 9
    for config in (RemoteConfig(timeout_sec=30), RemoteConfig(timeout_sec=0.1, backoff_sec=30)):
        stream = Storage(config).open(f"{server.url}/file.tar")
        errors: list[BaseException] = []
        thread = threading.Thread(target=lambda s=stream, e=errors: _collect_error(s, e))
        thread.start()
        time.sleep(0.3)  # it waits for bytes, or for its next attempt
        stream.interrupt()
        thread.join(2)
        assert not thread.is_alive()
        assert isinstance(errors[0], RefusedError)


def _collect_error(stream: RemoteStream, errors: list[BaseException]) -> None:
    with stream:
        try:
            stream.read(10_000)
        except OSError as error:
            errors.append(error)


def test_nothing_stays_open(server):
    """Sockets left open would be ResourceWarnings, which are errors here."""
    storage = Storage(FAST)
    stream = storage.open(f"{server.url}/file.tar")
    stream.read(1)
    del stream, storage
    gc.collect()
