import numpy as np
import pytest

from gsv2.data.config import DataConfig, SourceConfig
from gsv2.data.corpus.manifest import CorpusError
from gsv2.data.plan import table as table_module
from gsv2.data.plan.lanes import LaneAssignment
from gsv2.data.plan.mixture import make_mixture
from gsv2.data.plan.table import ClipTable

CONFIG = DataConfig(sources=[SourceConfig(path="somewhere")], max_frames=4000)


def assignment(index, num_lanes=4, seed=0, config=CONFIG):
    table = ClipTable(index, config, ("audio",))
    (part,) = make_mixture(index, config)
    return LaneAssignment(table, part, num_lanes, seed)


def rows(assigned, lane, epoch):
    return np.concatenate(
        [assigned.clips(shard_range).rows for shard_range in assigned.ranges(lane, epoch)]
    )


@pytest.mark.parametrize("sizes", [[400], [50, 300, 20], [40] * 30, [200, 10, 10, 10]])
def test_lanes_share_an_epoch_without_overlap_and_about_equally(bare_index, sizes):
    index = bare_index(sizes)
    assigned = assignment(index)
    seconds = index.numbers("duration_sec")
    for epoch in range(3):
        shares = [rows(assigned, lane, epoch) for lane in range(4)]
        assert sorted(np.concatenate(shares)) == list(range(index.num_clips))
        hours = [seconds[share].sum() for share in shares]
        assert max(hours) < 1.35 * np.mean(hours)


def test_lanes_change_hands_every_epoch(bare_index):
    assigned = assignment(bare_index([40] * 30))
    first, second = (set(rows(assigned, 0, epoch)) for epoch in (0, 1))
    assert len(first & second) < 0.6 * len(first)


def test_a_lane_reads_its_tars_in_sequence(bare_index):
    steps = np.diff(rows(assignment(bare_index([60, 60, 60, 60]), num_lanes=2, seed=3), 0, 0))
    assert (steps != 1).sum() <= 3, "forward inside a shard_range, a jump between ranges"


def test_blocks_are_not_cut_where_there_are_enough(bare_index):
    index = bare_index([400])
    assigned = assignment(index)
    for lane in range(4):
        blocks, counts = np.unique(
            index.numbers("block")[rows(assigned, lane, 0)], return_counts=True
        )
        assert (counts == 8).all(), blocks


def test_any_epoch_can_be_asked_for_first(bare_index):
    index = bare_index([40] * 10)
    forward = assignment(index)
    for epoch in range(6):
        expected = rows(forward, 2, epoch)
    assert (rows(assignment(index), 2, 5) == expected).all()
    assert (rows(forward, 2, 0) == rows(assignment(index), 2, 0)).all(), "and an earlier one again"


def test_of_many_shards_none_is_looked_into_before_its_turn(bare_index, monkeypatch):
    monkeypatch.setattr(table_module, "_EXAMINED_CLIPS", 6)  # of shard 0 alone
    index = bare_index([6] * 300)
    table = ClipTable(index, CONFIG, ("audio",))
    (part,) = make_mixture(index, CONFIG)
    asked = []
    read = index.read
    monkeypatch.setattr(
        index, "read", lambda shard, names: asked.append(shard) or read(shard, names)
    )
    assigned = LaneAssignment(table, part, 4, seed=0)
    first = next(shard_range for shard_range in assigned.ranges(1, 0) if shard_range.shard)
    assert asked == []
    assigned.clips(first)
    assert [shard.number for shard in asked] == [first.shard]


def test_left_out_clips_are_in_no_piece(bare_index):
    index = bare_index([60, 60])
    config = DataConfig(sources=CONFIG.sources, max_frames=4000, min_clip_sec=5.0)
    assigned = assignment(index, config=config)
    read = np.concatenate([rows(assigned, lane, 0) for lane in range(4)])
    assert sorted(read) == np.flatnonzero(index.numbers("duration_sec") >= 5.0).tolist()


def test_as_many_clips_as_lanes_are_enough_and_fewer_are_an_error(bare_index):
    assert [len(rows(assignment(bare_index([2, 3]), 5), lane, 7)) for lane in range(5)] == [1] * 5
    with pytest.raises(
        CorpusError, match=r"clips \(5\) of all sources; set data.lanes to 5 or less"
    ):
        assignment(bare_index([2, 3]), 6)
