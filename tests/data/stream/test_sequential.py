"""One pass over remote tars: the same bytes as mapped ones, within the window, in any order."""

from __future__ import annotations

import os
import time

import numpy as np
import pytest

from gsv2.data.plan.window import PartPosition
from gsv2.data.stream.reader import MappedReader
from gsv2.data.stream.sequential import SequentialReader
from tests.support.served_corpora import chain, contents, open_index, wait_for

PLENTY = 1 << 30


@pytest.mark.parametrize("members", [["audio"], ["codes"], ["audio", "codes"]])
@pytest.mark.parametrize("window_bytes", [PLENTY, 1])
def test_clips_come_as_from_mapped_tars_in_any_order(server, files, members, window_bytes):
    mapped = MappedReader(open_index(files), members)
    index = open_index(server.url)
    reader = SequentialReader(index, members, window_bytes)
    rng = np.random.default_rng(0)
    for window in chain([range(10), range(10, 11), range(11, 24)]):
        for row in rng.permutation(window.rows).tolist():
            assert contents(reader.read(row, window)) == contents(mapped.read(row))
    reader.close()
    folder = "codes/" if members == ["codes"] else ""
    assert not any(n.startswith("corpus/") and folder for n in server.served if n.endswith(".tar"))
    assert all(count == 1 for n, count in server.requests.items() if n.endswith(".tar"))


def test_every_byte_is_served_once(server, files):
    index = open_index(server.url)
    reader = SequentialReader(index, ["audio", "codes"], PLENTY)
    for window in chain([range(7), range(7, 20), range(20, 24)]):
        for row in window.rows.tolist():
            reader.read(row, window)
    reader.close()
    tars = sum(path.stat().st_size for path in files.rglob("*.tar"))
    assert server.served_of(".tar") <= tars


def test_a_lane_holds_its_window_and_no_more(server):
    """However slowly clips are taken, read-ahead stops at the window's bytes."""
    index = open_index(server.url)
    places = SequentialReader(index, ["audio"], PLENTY).places
    sizes = [sum(place.length for place in places.locate(row)) for row in range(24)]
    limit = sum(sizes[:6])
    reader = SequentialReader(index, ["audio"], limit)
    seen = []
    for window in chain([range(6), range(6, 12), range(12, 16), range(16, 24)]):
        for row in window.rows.tolist()[::-1]:
            reader.read(row, window)
            for _ in range(3):
                time.sleep(0.002)
                seen.append(reader.held_bytes()[0])
    assert max(seen) <= max(limit, sum(sizes[16:])) + max(sizes)
    assert max(seen) > limit / 2, "it reads ahead"
    reader.close()


def test_the_following_window_is_read_ahead(server):
    first, second = chain([range(4), range(4, 8)])
    reader = SequentialReader(open_index(server.url), ["audio"], PLENTY)
    reader.read(3, first)
    wait_for(lambda: len(reader._feeds[os.getpid(), 0]._requests[1].ready) == 4)
    before = server.served_of(".tar")
    for row in range(4, 8):
        reader.read(row, second)
    assert server.served_of(".tar") == before
    reader.close()


def test_a_single_pass_reads_nothing_beyond_its_epoch(server):
    first, second = chain([range(4), range(4, 24)])
    position = second.position._replace(parts=(PartPosition(1, 0, 0, 0.0),))
    object.__setattr__(second, "position", position)
    reader = SequentialReader(open_index(server.url), ["audio"], PLENTY, single_pass=True)
    for row in range(4):
        reader.read(row, first)
    time.sleep(0.05)
    assert [order.window for order in reader._feeds[os.getpid(), 0]._requests] == [0]
    reader.close()


@pytest.mark.parametrize("window_bytes", [PLENTY, 1])
def test_a_resume_in_mid_window_leaves_rows_that_are_never_asked_for(server, window_bytes):
    first, second, third = chain([range(10), range(10, 20), range(20, 24)])
    mapped = MappedReader(open_index(server.root), ["audio"])
    reader = SequentialReader(open_index(server.url), ["audio"], window_bytes)
    for row, window in ((7, first), (15, second), (11, second), (23, third)):
        assert contents(reader.read(row, window)) == contents(mapped.read(row))
    reader.close()


def test_a_row_may_come_twice_in_a_window_and_again_in_the_next(server):
    """A lane with few clips reads several epochs of a mixture in one window."""
    windows = chain([[2, 5, 2], [2, 2, 5]])
    mapped = MappedReader(open_index(server.root), ["audio"])
    reader = SequentialReader(open_index(server.url), ["audio"], PLENTY)
    for window in windows:
        for row in (2, 5, 2):
            assert contents(reader.read(row, window)) == contents(mapped.read(row))
    reader.close()


def test_rows_that_are_asked_for_out_of_turn_are_a_bug(server):
    first, second = chain([range(4), range(4, 8)])
    reader = SequentialReader(open_index(server.url), ["audio"], PLENTY)
    reader.read(0, first)
    with pytest.raises(AssertionError, match="row 0 is not in its window, or was taken"):
        reader.read(0, first)
    reader.read(4, second)
    with pytest.raises(AssertionError, match="window 0 after window 1"):
        reader.read(1, first)
    reader.close()
    reader.read(1, first)  # a new pass
    reader.close()
