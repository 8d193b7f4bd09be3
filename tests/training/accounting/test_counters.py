from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import torch

from gsv2.training.accounting.counters import RankCounters, drain_figures
from gsv2.training.accounting.quarantine import Quarantine, TooManyBadClipsError
from gsv2.training.accounting.state import TrainState
from gsv2.training.distributed.ranks import Distributed
from gsv2.training.run_folder.folder import RunFolder
from gsv2.training.telemetry.metrics import RunClock, WeightedMeans
from tests.support.thread_ranks import run_ranks
from tests.support.toy_stage import ToyStage, toy_batch, toy_config

CPU = torch.device("cpu")


class CountedMessages:
    """Ranks whose gathers are counted."""

    def __init__(self, ranks: Distributed) -> None:
        self._ranks = ranks
        self.device = CPU
        self.num_gathers = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ranks, name)

    def gather(self, value: Any) -> list[Any]:
        self.num_gathers += 1
        return self._ranks.gather(value)


def make_counters(folder: Path, ranks: Any, clock: RunClock) -> RankCounters:
    config = toy_config(folder / str(ranks.rank))
    fraction = config.data.max_bad_fraction
    quarantine = Quarantine(RunFolder(folder).quarantine, fraction, ranks)
    return RankCounters(ToyStage(config, CPU), ranks, clock, quarantine)


def means_of(value: float) -> WeightedMeans:
    means = WeightedMeans()
    means.add({"loss": value}, 1.0)
    return means


def test_one_message_takes_what_all_ranks_have_read_and_the_figures_of_their_row(
    tmp_path: Path,
) -> None:
    def run(distributed: Distributed) -> tuple[TrainState, dict[str, float], int, float]:
        ranks, clock, state = CountedMessages(distributed), RunClock(0.0), TrainState(step=1)
        counters = make_counters(tmp_path, ranks, clock)
        rank = distributed.rank
        if rank:
            time.sleep(0.05)
            clock.lap_read_sec += 0.05
        counters.count([toy_batch(rank, num_clips=2 + rank, bad=rank)])
        figures = counters.reduce(state, means_of(1.0 + rank))
        return state, figures, ranks.num_gathers, clock.elapsed_sec

    first, other = run_ranks(2, run)
    assert isinstance(first, tuple)
    assert isinstance(other, tuple)
    state, figures, num_gathers, elapsed_sec = first
    assert num_gathers == 1
    assert (other[0], other[2]) == (state, 1)
    assert other[1]["loss"] == figures["loss"]
    assert (state.samples_seen, state.bad_clips) == (5, 1)
    assert set(state.positions) == {0, 1}
    assert figures["loss"] == 1.5
    assert figures["data/wait_share"] * elapsed_sec >= 0.05  # what the other rank has read
    assert figures["train/steps_per_sec"] > 0


def test_what_is_reduced_without_a_row_ends_no_lap(
    tmp_path: Path, distributed: Distributed
) -> None:
    clock, state = RunClock(0.0), TrainState()
    counters = make_counters(tmp_path, distributed, clock)
    for k in range(2):
        counters.count([toy_batch(k, num_clips=3)])
        time.sleep(0.1)
        assert k or counters.reduce(state) == {}
    assert state.samples_seen == 3
    figures = counters.reduce(state, means_of(2.0))
    assert state.samples_seen == 6
    assert figures["train/steps_per_sec"] * figures["time"] == pytest.approx(2.0, rel=0.3)


def test_too_many_bad_clips_end_all_ranks_alike(tmp_path: Path) -> None:
    def run(distributed: Distributed) -> dict[str, float]:
        counters = make_counters(tmp_path, CountedMessages(distributed), RunClock(0.0))
        counters.count([toy_batch(distributed.rank, bad=60 * distributed.rank)])
        return counters.reduce(TrainState(step=1))

    errors = run_ranks(2, run)
    assert {type(error) for error in errors} == {TooManyBadClipsError}
    assert str(errors[0]) == str(errors[1])


def test_what_a_record_has_told_is_not_told_again() -> None:
    state = TrainState(samples_seen=7, sequences={1: 3, 2: 1}, audio_seen={"en": 32_000 * 3600})
    first, second = drain_figures(state), drain_figures(state)
    assert first["data/samples_seen"] == second["data/samples_seen"] == 7
    assert first["data/hours/en"] == 1.0
    shares = {key for key in first if key.startswith("data/") and first[key] != second[key]}
    assert shares, "the mix of prompts since the last record"
    assert state.sequences == {}
