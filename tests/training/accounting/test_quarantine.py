from __future__ import annotations

from pathlib import Path

import pytest

from gsv2.training.accounting.quarantine import Quarantine, TooManyBadClipsError
from gsv2.training.accounting.state import TrainState
from gsv2.training.distributed.ranks import Distributed
from gsv2.training.run_folder.records import read_records
from tests.support.full_disk import no_room_beyond
from tests.support.thread_ranks import bring_together, run_ranks
from tests.support.toy_stage import torn_batch, toy_batch


def test_bad_clips_are_counted_and_written_once(tmp_path: Path, distributed: Distributed) -> None:
    quarantine = Quarantine(tmp_path / "q.jsonl", 0.05, distributed)
    state = TrainState(step=7)
    quarantine.count([toy_batch(0, num_clips=10, bad=2)])
    bring_together(quarantine, state, distributed)
    bring_together(quarantine, state, distributed)
    assert (state.samples_seen, state.bad_clips) == (10, 2)
    assert read_records(tmp_path / "q.jsonl") == [
        {
            "step": 7,
            "key": f"bad-0-{i}",
            "shard": "a.tar",
            "reason": "torn",
            "component": 0,
            "epoch": 0,
        }
        for i in range(2)
    ]


def test_a_stand_in_of_weight_zero_is_not_counted_as_read(
    tmp_path: Path, distributed: Distributed
) -> None:
    quarantine = Quarantine(tmp_path / "q.jsonl", 0.05, distributed)
    state = TrainState()
    quarantine.count([torn_batch(5)])
    bring_together(quarantine, state, distributed)
    assert (state.samples_seen, state.bad_clips) == (0, 1)


def test_the_limit_is_a_share_of_at_least_a_hundred_clips(
    tmp_path: Path, distributed: Distributed
) -> None:
    quarantine = Quarantine(tmp_path / "q.jsonl", 0.02, distributed)
    state = TrainState()
    quarantine.count([toy_batch(0, num_clips=3, bad=2)])
    bring_together(quarantine, state, distributed)  # 2 of 5, but not of 100
    quarantine.count([toy_batch(1, num_clips=100, bad=1)])
    with pytest.raises(TooManyBadClipsError, match=r"3 of 106 .*bad-0-0 in a.tar: torn, bad-0-1"):
        bring_together(quarantine, state, distributed)


def test_the_error_names_ten_clips(tmp_path: Path, distributed: Distributed) -> None:
    quarantine = Quarantine(tmp_path / "q.jsonl", 0.0, distributed)
    quarantine.count([toy_batch(0, num_clips=3, bad=12)])
    with pytest.raises(TooManyBadClipsError) as error:
        bring_together(quarantine, TrainState(), distributed)
    assert str(error.value).count("torn") == 10
    assert [f"bad-0-{i} in a.tar: torn" in str(error.value) for i in range(12)] == [
        True, True, True, True, True, True, True, True, True, True, False, False
    ]  # fmt: skip


def test_any_number_of_ranks_writes_and_counts_the_same(
    tmp_path: Path, distributed: Distributed
) -> None:
    batches = [toy_batch(k, num_clips=40, bad=k % 3) for k in range(6)]

    def reduce(ranks: Distributed) -> tuple[int, int]:
        quarantine = Quarantine(tmp_path / f"{ranks.world}.jsonl", 0.05, ranks)
        state = TrainState()
        for start in (0, 3):  # two steps of three micro-batches
            quarantine.count(batches[start : start + 3][ranks.rank :: ranks.world])
        bring_together(quarantine, state, ranks)
        return state.samples_seen, state.bad_clips

    assert reduce(distributed) == (240, 6)
    assert run_ranks(3, reduce) == [(240, 6)] * 3
    assert read_records(tmp_path / "3.jsonl") == read_records(tmp_path / "1.jsonl")


def test_a_full_disk_stops_no_rank_and_the_clips_are_named_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"

    def reduce(ranks: Distributed) -> None:
        quarantine = Quarantine(path, 0.0125, ranks)
        state = TrainState()
        for k in (ranks.rank, 2 + ranks.rank):
            quarantine.count([toy_batch(k, num_clips=50, bad=k * ranks.rank)])
            bring_together(quarantine, state, ranks)

    with no_room_beyond(0):
        errors = run_ranks(2, reduce)
    assert read_records(path) == []
    assert [type(error) for error in errors] == [TooManyBadClipsError] * 2
    assert str(errors[0]) == str(errors[1])
    assert "bad-1-0 in a.tar: torn, bad-3-0" in str(errors[0])


def test_clips_that_had_no_room_are_written_when_there_is_some(
    tmp_path: Path, distributed: Distributed
) -> None:
    quarantine = Quarantine(tmp_path / "q.jsonl", 0.5, distributed)
    state = TrainState()
    with no_room_beyond(0):
        quarantine.count([toy_batch(0, bad=1)])
        bring_together(quarantine, state, distributed)
    quarantine.count([toy_batch(1)])
    bring_together(quarantine, state, distributed)
    assert [clip["key"] for clip in read_records(tmp_path / "q.jsonl")] == ["bad-0-0"]


def test_every_rank_stops_with_the_same_error(tmp_path: Path) -> None:
    def reduce(ranks: Distributed) -> None:
        quarantine = Quarantine(tmp_path / "q.jsonl", 0.01, ranks)
        quarantine.count([toy_batch(ranks.rank, num_clips=50, bad=2 * ranks.rank)])
        bring_together(quarantine, TrainState(), ranks)

    errors = run_ranks(2, reduce)
    assert [type(error) for error in errors] == [TooManyBadClipsError] * 2
    assert str(errors[0]) == str(errors[1])
    assert "bad-1-0 in a.tar: torn" in str(errors[0])
