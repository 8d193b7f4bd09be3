from __future__ import annotations

import time

import pytest
import torch

from gsv2.training.distributed.ranks import Distributed
from gsv2.training.telemetry.metrics import RunClock, WeightedMeans, merge_sums
from tests.support.same_run import TIMING_KEYS


def test_means_are_over_targets_not_over_micro_batches(distributed: Distributed) -> None:
    means = WeightedMeans()
    means.add({"a": torch.tensor(1.0)}, 3)
    means.add({"a": torch.tensor(5.0), "b": torch.tensor(2.0)}, 1)
    assert means.reduce(distributed) == {"a": pytest.approx(2.0), "b": 2.0}


def test_values_without_targets_count_for_nothing_even_if_nan(distributed: Distributed) -> None:
    means = WeightedMeans()
    means.add({"a": torch.tensor(float("nan")), "b": torch.tensor(1.0)}, 0)
    means.add({"a": torch.tensor(5.0)}, 2)
    assert means.reduce(distributed) == {"a": 5.0}


def test_nothing_added_is_nothing_reduced(distributed: Distributed) -> None:
    assert WeightedMeans().reduce(distributed) == {}


def test_what_the_host_knows_is_averaged_like_what_the_device_knows(
    distributed: Distributed,
) -> None:
    means = WeightedMeans()
    for value in (1.0, torch.tensor(2.0), 6.0):
        means.add({"both": value}, 1)
    means.add({"host": 4.0, "never": 7.0}, 0)
    means.add({"host": 3.0}, 1)
    assert means.reduce(distributed) == {"both": 3.0, "host": 3.0}


def test_shares_of_ranks_are_weighed_by_their_targets() -> None:
    shares = [{"a": (3.0, 3.0)}, {"a": (5.0, 1.0), "b": (0.0, 0.0)}, {"b": (2.0, 1.0)}]
    assert merge_sums(shares) == {"a": 2.0, "b": 2.0}


def test_a_lap_reports_its_own_steps_and_reading_only() -> None:
    clock = RunClock(elapsed_sec=100.0)
    time.sleep(0.02)
    clock.lap_read_sec += clock.lap_sec
    clock.count_step()
    first = clock.lap(clock.lap_read_sec)
    assert first.keys() == {"time", "train/steps_per_sec", "data/wait_share"}
    assert first.keys() <= TIMING_KEYS
    assert first["time"] > 100.0
    assert first["data/wait_share"] == pytest.approx(1.0, abs=0.2)
    assert 0 < first["train/steps_per_sec"] < 50
    second = clock.lap(clock.lap_read_sec)
    assert (second["data/wait_share"], second["train/steps_per_sec"]) == (0.0, 0.0)


def test_the_share_of_waiting_is_that_of_the_slowest_rank() -> None:
    clock = RunClock(elapsed_sec=0.0)
    time.sleep(0.1)
    assert clock.lap_read_sec == 0.0
    span = clock.lap_sec
    assert clock.lap(span / 2)["data/wait_share"] == pytest.approx(0.5, rel=0.3)


def test_a_pause_is_in_the_time_of_the_run_but_not_in_the_lap() -> None:
    clock = RunClock(elapsed_sec=0.0)
    with clock.pausing("validation"):
        time.sleep(0.05)
    assert clock.lap_sec < 0.04
    assert clock.elapsed_sec > 0.05
