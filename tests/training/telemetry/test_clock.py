from __future__ import annotations

import time

import pytest

from gsv2.training.telemetry.clock import TIMING_KEYS, RunClock


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
