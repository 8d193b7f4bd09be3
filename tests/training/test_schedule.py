from __future__ import annotations

import math
from typing import Any

import pytest
from torch import nn

from gsv2.training.optim import OptimConfig, make_optimizer
from gsv2.training.schedule import RunProgress, follow_progress, make_scheduler, seek_schedule

STEP_SEC = 10.0


def rates(config: OptimConfig, max_steps: int) -> list[float]:
    optimizer = make_optimizer(nn.Linear(2, 2), config)
    scheduler = make_scheduler(optimizer, config, max_steps)
    seen = []
    for _ in range(max_steps):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return seen


def test_schedules_warm_up_to_the_peak_and_end_at_the_final_fraction() -> None:
    for schedule, last in (("constant", 1.0), ("cosine", 0.1), ("exponential", 0.1)):
        config = OptimConfig(lr=2.0, schedule=schedule, warmup_steps=3, final_lr_fraction=0.1)
        seen = rates(config, 11)
        assert seen[:4] == pytest.approx([0.5, 1.0, 1.5, 2.0])
        assert seen[-1] == pytest.approx(2.0 * last)


def test_cosine_and_exponential_follow_their_formulas() -> None:
    cosine = rates(OptimConfig(lr=1.0, final_lr_fraction=0.2), 5)
    assert cosine == pytest.approx([0.2 + 0.4 * (1 + math.cos(math.pi * i / 4)) for i in range(5)])
    decay = rates(OptimConfig(lr=1.0, schedule="exponential", final_lr_fraction=0.5), 5)
    assert decay == pytest.approx([0.5 ** (i / 4) for i in range(5)])


def test_a_sought_schedule_goes_on_like_one_stepped_there() -> None:
    config = OptimConfig(lr=0.3, warmup_steps=2)
    optimizer = make_optimizer(nn.Linear(2, 2), config)
    scheduler = make_scheduler(optimizer, config, 10)
    seek_schedule(scheduler, 4)
    resumed = []
    for _ in range(6):
        resumed.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert resumed == rates(config, 10)[4:]


def test_wsd_stays_at_the_peak_and_falls_as_one_minus_sqrt_in_its_last_steps() -> None:
    config = OptimConfig(
        lr=2.0, schedule="wsd", warmup_steps=3, decay_steps=4, final_lr_fraction=0.1
    )
    falling = [2.0 * (1 - 0.9 * math.sqrt(i / 4)) for i in range(1, 5)]
    assert rates(config, 12) == pytest.approx([0.5, 1.0, 1.5] + 5 * [2.0] + falling)


def test_a_longer_wsd_run_has_the_same_steps_before_its_decay() -> None:
    """What the schedule is for: a run may be prolonged from before its decay."""
    config = OptimConfig(schedule="wsd", warmup_steps=2, decay_steps=3)
    assert rates(config, 10)[:7] == rates(config, 40)[:7]


@pytest.mark.parametrize("schedule", ["constant", "cosine", "wsd", "exponential"])
@pytest.mark.parametrize("warmup", [0, 1, 5])
@pytest.mark.parametrize("max_steps", [6, 7, 23])
def test_every_schedule_rises_then_falls_within_its_bounds(
    schedule: str, warmup: int, max_steps: int
) -> None:
    decay = {"decay_steps": max_steps - warmup} if schedule == "wsd" else {}
    config = OptimConfig(
        lr=1.0, schedule=schedule, warmup_steps=warmup, final_lr_fraction=0.2, **decay
    )
    seen = rates(config, max_steps)
    assert seen[:warmup] == sorted(seen[:warmup])
    assert seen[warmup:] == sorted(seen[warmup:], reverse=True)
    assert all(0 < rate <= 1 for rate in seen)
    if max_steps > warmup + 1:
        assert seen[-1] == pytest.approx(1.0 if schedule == "constant" else 0.2)
    for done in (0, warmup, max_steps - 1):
        optimizer = make_optimizer(nn.Linear(2, 2), config)
        seek_schedule(make_scheduler(optimizer, config, max_steps), done)
        assert optimizer.param_groups[0]["lr"] == seen[done]


def test_a_wsd_run_too_short_for_its_decay_is_refused() -> None:
    config = OptimConfig(schedule="wsd", warmup_steps=3, decay_steps=4)
    with pytest.raises(ValueError, match=r"max_steps \(6\), but are 3 \+ 4"):
        make_scheduler(make_optimizer(nn.Linear(2, 2), config), config, 6)
    for values in ({"schedule": "wsd"}, {"decay_steps": 3}, {"ema_decay": 1.0}):
        with pytest.raises(ValueError, match=r"decay_steps|ema_decay"):
            OptimConfig(**values)


def test_without_a_time_limit_all_is_decided_by_steps() -> None:
    progress = RunProgress(max_steps=8, step=6, elapsed_sec=1e9)
    assert (progress.total_steps, progress.share, progress.is_last) == (8, 0.75, False)
    assert isinstance(progress.total_steps, int), "schedules compute with the same numbers as ever"
    progress.begin_step(2e9, 5.0, 1.0)
    assert not progress.is_last
    progress.step = 7
    progress.begin_step(3e9, 5.0, 1.0)
    assert progress.is_last


def test_the_share_is_the_larger_one_of_steps_and_time() -> None:
    early = RunProgress(max_steps=100, max_sec=60.0, step=50, elapsed_sec=6.0)
    assert (early.share, early.total_steps) == (0.5, 100)
    late = RunProgress(max_steps=100, max_sec=60.0, step=10, elapsed_sec=30.0)
    assert (late.share, late.total_steps) == (0.5, 20)


def test_the_time_of_the_end_is_kept_free_but_never_more_than_half() -> None:
    assert RunProgress(max_sec=60.0, step=1, elapsed_sec=50.0, ending_sec=10.0).is_last
    assert not RunProgress(max_sec=60.0, step=1, elapsed_sec=29.0, ending_sec=600.0).is_last


def test_nobody_knows_the_steps_of_a_run_by_time_at_its_start() -> None:
    assert math.isinf(RunProgress(max_sec=60.0).total_steps)


@pytest.mark.parametrize("schedule", ["cosine", "exponential"])
def test_rates_at_equal_speed_are_those_of_as_many_steps(schedule: Any) -> None:
    """A run by time that takes n equal steps has the rates of a run of n steps, once warmed up."""
    config = OptimConfig(lr=1.0, schedule=schedule, warmup_steps=5, final_lr_fraction=0.1)
    total, rates = 100, []
    for progress in (RunProgress(max_steps=total), RunProgress(max_sec=total * STEP_SEC)):
        module = nn.Linear(2, 2)
        optimizer = make_optimizer(module, config)
        scheduler = make_scheduler(optimizer, config, progress.max_steps)
        follow_progress(scheduler, progress)
        of_run = []
        for step in range(1, total):
            progress.begin_step((step - 1) * STEP_SEC, 0.0, 0.0)
            of_run.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            progress.step = step
            progress.elapsed_sec = step * STEP_SEC
            scheduler.step()
        rates.append(of_run)
    assert rates[1] == pytest.approx(rates[0], abs=1e-3)
