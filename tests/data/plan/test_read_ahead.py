import numpy as np
import pytest

from gsv2.data.config import DataConfig, SourceConfig
from gsv2.data.corpus.manifest import CorpusError
from gsv2.data.plan.lanes import LaneAssignment
from gsv2.data.plan.mixture import make_mixture
from gsv2.data.plan.read_ahead import ReadLimits, read_ahead
from gsv2.data.plan.table import ClipTable
from gsv2.data.plan.window import PartPosition

START = PartPosition(0, 0, 0, 0.0)


@pytest.fixture
def assignment(bare_index):
    index = bare_index([40, 40, 40, 40])
    config = DataConfig(sources=[SourceConfig(path="x")], max_frames=4000)
    table = ClipTable(index, config, ("audio",))
    return LaneAssignment(table, make_mixture(index, config)[0], 2, seed=0)


def ahead(assignment, position=START, limit=1e6, share=1.0, within_epoch=False, max_clips=10**6):
    return read_ahead(assignment, 1, position, share, ReadLimits(limit, max_clips, within_epoch))


def epoch_rows(assignment, epoch):
    return [
        row
        for shard_range in assignment.ranges(1, epoch)
        for row in assignment.clips(shard_range).rows.tolist()
    ]


def test_epochs_follow_one_another(assignment):
    total = sum(
        assignment.clips(shard_range).num_bytes.sum() for shard_range in assignment.ranges(1, 0)
    )
    read = ahead(assignment, limit=2.5 * total)
    rows = read.clips.rows.tolist()
    for epoch in range(2):
        assert [r for r, e in zip(rows, read.epochs, strict=True) if e == epoch] == epoch_rows(
            assignment, epoch
        )
    assert read.epochs.tolist() == sorted(read.epochs)
    assert read.clips.num_bytes.sum() > 2.5 * total


def test_within_an_epoch_it_ends_with_the_epoch(assignment):
    read = ahead(assignment, limit=1e12, within_epoch=True)
    assert read.clips.rows.tolist() == epoch_rows(assignment, 0)
    assert read.position_after(len(read.epochs))[:3] == (1, 0, 0)


@pytest.mark.parametrize("count", [0, 1, 7, 20, 39, 40, 41, 79])
def test_what_follows_a_position_is_what_would_have_followed(assignment, count):
    whole = ahead(assignment, limit=1e8)
    rest = ahead(assignment, whole.position_after(count), limit=1e7)
    length = min(len(rest.epochs), len(whole.epochs) - count)
    assert length > 10
    for before, after in zip(whole[1:4], rest[1:4], strict=True):
        assert (before[count : count + length] == after[:length]).all()
    assert (whole.clips.rows[count : count + length] == rest.clips.rows[:length]).all()
    assert rest.clocks[0] == whole.clocks[count]


def test_the_clock_is_audio_by_share(assignment):
    read = ahead(assignment, PartPosition(0, 0, 0, 5.0), share=0.25)
    assert read.clocks[0] == 5.0
    assert np.diff(read.clocks) == pytest.approx(read.clips.seconds / 0.25)


def test_a_lane_without_any_clip_is_an_error_and_no_endless_search(assignment, monkeypatch):
    empty = assignment.clips(assignment.ranges(1, 0)[0]).cut(0, 0)
    monkeypatch.setattr(assignment, "clips", lambda shard_range: empty)
    with pytest.raises(CorpusError, match=r"lane 1 finds no clip in 64 epochs"):
        ahead(assignment)
