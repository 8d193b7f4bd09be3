import numpy as np
import pytest

from gsv2.data.lanes import LaneMap, cut_windows
from gsv2.data.schema import DataConfig
from gsv2.data.table import ClipTable


def table(index):
    return ClipTable(index, DataConfig(sources=[], max_frames=4000), ("audio",))


@pytest.mark.parametrize("sizes", [[400], [50, 300, 20], [40] * 30, [200, 10, 10, 10]])
def test_lanes_share_an_epoch_without_overlap_and_about_equally(bare_index, sizes):
    clips = table(bare_index(sizes))
    lanes = LaneMap(clips, 4, seed=0)
    for epoch in range(3):
        rows = [lanes.rows(lane, epoch) for lane in range(4)]
        assert sorted(np.concatenate(rows)) == clips.rows.tolist()
        hours = [clips.seconds[share].sum() for share in rows]
        assert max(hours) < 1.35 * np.mean(hours)


def test_lanes_change_hands_every_epoch(bare_index):
    lanes = LaneMap(table(bare_index([40] * 30)), 4, seed=0)
    first, second = (set(lanes.rows(0, epoch)) for epoch in (0, 1))
    assert len(first & second) < 0.6 * len(first)


def test_a_lane_reads_its_tars_in_sequence(bare_index):
    clips = table(bare_index([60, 60, 60, 60]))
    rows = LaneMap(clips, 2, seed=3).rows(0, 0)
    steps = np.diff(rows)
    assert (steps != 1).sum() <= 3, "forward inside a piece, a jump between pieces"


def test_blocks_are_not_cut_where_there_are_enough(bare_index):
    clips = table(bare_index([400]))
    lanes = LaneMap(clips, 4, seed=0)
    for lane in range(4):
        blocks, counts = np.unique(clips.blocks[lanes.rows(lane, 0)], return_counts=True)
        assert (counts == 8).all(), blocks


def test_any_epoch_can_be_asked_for_first(bare_index):
    index = bare_index([40] * 10)
    forward = LaneMap(table(index), 4, seed=0)
    for epoch in range(5):
        rows = forward.rows(2, epoch)
    assert (LaneMap(table(index), 4, seed=0).rows(2, 4) == rows).all()


def test_a_window_holds_at_most_its_bytes_and_at_least_one_clip():
    sizes = np.array([5, 5, 5, 40, 3, 3, 3, 3])
    assert cut_windows(sizes, 10) == [(0, 2), (2, 3), (3, 4), (4, 7), (7, 8)]
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, 100, 1000)
    windows = cut_windows(sizes, 1000)
    assert all(sizes[start:stop].sum() <= 1000 for start, stop in windows)
    assert all(sizes[start : stop + 1].sum() > 1000 for start, stop in windows[:-1])
