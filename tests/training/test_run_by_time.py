from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gsv2.data.stream.batch import Batch
from gsv2.training.config import TrainerConfig
from gsv2.training.distributed.ranks import Distributed
from gsv2.training.run_folder.records import read_records
from gsv2.training.stage import Update
from tests.support.toy_stage import ToyStage, fit_toy, toy_config

STEP_SEC = 10.0


class Clock:
    """A clock that runs only when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(time, "perf_counter", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def stage_of(clock: Clock, validation_sec: float = 0.0, dies_in: int = 0) -> type[ToyStage]:
    """Return a stage whose steps and validations take their time by the clock."""

    class Slow(ToyStage):
        def updates(self, batch: Batch, step: int) -> Iterator[Update]:
            yield from super().updates(batch, step)
            clock.now += STEP_SEC / 4  # micro-batches of a step
            if step == dies_in:
                raise KeyboardInterrupt

        def validate(self, batch: Batch) -> Any:
            clock.now += validation_sec / 4
            return super().validate(batch)

    return Slow


def by_time(folder: Path, minutes: float, **options: Any) -> Any:
    trainer = {"max_steps": 0, "max_minutes": minutes, "validate_every_steps": 0, **options}
    return toy_config(folder, trainer=trainer)


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return read_records(folder / "run" / "metrics.jsonl")


def test_a_run_by_time_ends_with_a_row_a_validation_and_a_checkpoint_at_its_last_step(
    tmp_path: Path, distributed: Distributed, clock: Clock
) -> None:
    config = by_time(tmp_path, minutes=1.0, log_every_steps=5)
    _, state = fit_toy(config, distributed, stage_class=stage_of(clock))
    rows = rows_of(tmp_path)
    assert 6 <= state.step <= 8, "60 s of steps of 10 s, known a step late"
    assert rows[-1]["step"] == state.step
    assert "validation/generator/error" in rows[-1]
    assert (tmp_path / "run" / "checkpoints" / f"step_{state.step:08d}").is_dir()
    lowest = 1e-2 * 0.1
    assert rows[-1]["generator/lr"] == pytest.approx(lowest, rel=0.2), "it follows the time"


def test_validations_count_and_the_last_one_fits(
    tmp_path: Path, distributed: Distributed, clock: Clock
) -> None:
    stage, minutes = stage_of(clock, validation_sec=40.0), 4.0
    config = by_time(tmp_path, minutes=minutes, validate_every_steps=5)
    start = clock.now
    _, state = fit_toy(config, distributed, stage_class=stage)
    assert clock.now - start <= minutes * 60 + 2 * STEP_SEC
    assert clock.now - start >= minutes * 60 - 2 * STEP_SEC
    assert state.ending_sec == pytest.approx(40.0)


def test_a_resumed_run_goes_on_with_the_time_that_it_has_used(
    tmp_path: Path, distributed: Distributed, clock: Clock
) -> None:
    config = by_time(tmp_path, minutes=2.0)
    with pytest.raises(KeyboardInterrupt):
        fit_toy(config, distributed, stage_class=stage_of(clock, dies_in=7))
    clock.now += 9999.0  # the machine was off
    _, state = fit_toy(config, distributed, stage_class=stage_of(clock))
    assert 11 <= state.step <= 13
    _, again = fit_toy(config, distributed, stage_class=stage_of(clock))
    assert again.step == state.step, "it is finished"


def test_a_finished_run_goes_on_when_it_is_given_more_time(
    tmp_path: Path, distributed: Distributed, clock: Clock
) -> None:
    _, first = fit_toy(by_time(tmp_path, 1.0), distributed, stage_class=stage_of(clock))
    _, second = fit_toy(by_time(tmp_path, 2.0), distributed, stage_class=stage_of(clock))
    assert second.step == pytest.approx(first.step + 6, abs=1)


def test_steps_end_a_run_that_still_has_time(
    tmp_path: Path, distributed: Distributed, clock: Clock
) -> None:
    config = by_time(tmp_path, minutes=60.0, max_steps=3)
    _, state = fit_toy(config, distributed, stage_class=stage_of(clock))
    assert state.step == 3


def test_a_limit_that_is_not_reached_changes_no_number(
    tmp_path: Path, distributed: Distributed, clock: Clock
) -> None:
    runs = {}
    for name, minutes in (("steps", 0.0), ("both", 1e6)):
        config = by_time(tmp_path / name, minutes=minutes, max_steps=5)
        fit_toy(config, distributed, stage_class=stage_of(clock))
        runs[name] = [
            (row["generator/loss"], row["generator/lr"]) for row in rows_of(tmp_path / name)
        ]
    assert runs["steps"] == runs["both"]


def test_a_run_must_have_an_end() -> None:
    with pytest.raises(ValueError, match=r"trainer\.max_steps must be at least 1, but is 0"):
        TrainerConfig()
    with pytest.raises(ValueError, match=r"trainer\.max_minutes must be 0 or .* is nan"):
        TrainerConfig(max_minutes=float("nan"))
