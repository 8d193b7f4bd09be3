"""The threads of lanes: they start late, end early, and tell what went wrong."""

from __future__ import annotations

import gc
import os
import threading
import time

import pytest

from gsv2.data.corpus.decode import ClipError
from gsv2.data.stream.sequential import SequentialReader
from tests.support.served_corpora import chain, contents, open_index, wait_for

PLENTY = 1 << 30


def test_lanes_have_threads_of_their_own_that_end_with_the_reader(server):
    reader = SequentialReader(open_index(server.url), ["audio"], PLENTY)
    assert not _lane_threads(), "nothing starts before it is used"
    lanes = [chain([range(4), range(4, 12)], lane=0), chain([range(12, 20), range(20, 24)], lane=1)]
    for row in range(4):
        for lane in lanes:
            reader.read(int(lane[0].rows[row]), lane[0])
    started = _lane_threads()
    assert len(started) == 2
    del reader
    gc.collect()
    wait_for(lambda: not any(thread.is_alive() for thread in started))


@pytest.mark.parametrize("state", ["waits for credit", "waits for the server"])
def test_close_ends_a_thread_whatever_it_waits_for(server, state):
    if state == "waits for the server":
        server.behaviour.only = ".tar"
        server.behaviour.stall_at, server.behaviour.stalls = 60_000, 99
        server.behaviour.stall_sec = 30.0
    first, _ = chain([range(6), range(6, 12)])
    reader = SequentialReader(open_index(server.url), ["audio"], 1)
    reader.read(0, first)
    thread = reader._feeds[os.getpid(), 0]._thread
    time.sleep(0.05)
    start = time.monotonic()
    reader.close()
    assert not thread.is_alive()
    assert time.monotonic() - start < 1.0


def test_a_missing_tar_is_bad_clips_and_is_asked_for_once(server):
    server.behaviour.only, server.behaviour.failures = ".tar", 99
    server.behaviour.failure_status = 404
    (window,) = chain([range(3)])
    reader = SequentialReader(open_index(server.url), ["audio"], PLENTY)
    for row in range(3):
        with pytest.raises(ClipError, match="tar cannot be opened"):
            reader.read(row, window)
    assert sum(c for n, c in server.requests.items() if n.endswith(".tar")) == 1
    reader.close()


def test_a_dead_remote_stops_the_run_and_is_no_bad_clip(server):
    server.behaviour.only, server.behaviour.failures = ".tar", 9999
    first, second = chain([range(3), range(3, 6)])
    reader = SequentialReader(open_index(server.url), ["audio"], PLENTY)
    for row, window in ((0, first), (1, first), (3, second)):
        with pytest.raises(OSError, match=r"\.tar cannot be read at byte .* said 503"):
            reader.read(row, window)
    reader.close()


def test_clips_that_were_read_before_the_remote_died_are_delivered(server):
    (window,) = chain([range(6)])
    index = open_index(server.url)
    reader = SequentialReader(index, ["audio"], PLENTY)
    last = max(place.offset + place.length for place in reader.places.locate(2))
    server.behaviour.only = index.shard_of(0).name
    server.behaviour.cut_at, server.behaviour.cuts = last + 1, 9999
    for row in (2, 0, 1):
        assert reader.read(row, window)
    with pytest.raises(OSError, match="cannot be read at byte"):
        reader.read(3, window)
    reader.close()


def test_a_bug_in_the_thread_reaches_the_consumer(server, monkeypatch):
    (window,) = chain([range(3)])
    monkeypatch.setattr("gsv2.data.stream.lane_feed.LaneFeed._read", lambda *_: 1 / 0)
    reader = SequentialReader(open_index(server.url), ["audio"], PLENTY)
    with pytest.raises(ZeroDivisionError):
        reader.read(0, window)
    reader.close()


def test_a_reader_used_before_a_fork_works_in_the_child(server):
    (window,) = chain([range(8)])
    reader = SequentialReader(open_index(server.url), ["audio"], PLENTY)
    expected = contents(reader.read(3, window))
    pid = os.fork()
    if pid == 0:
        same = contents(reader.read(3, window)) == expected and reader.read(4, window)
        os._exit(0 if same else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert reader.read(4, window)
    reader.close()


def _lane_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "gsv2-lane"]
