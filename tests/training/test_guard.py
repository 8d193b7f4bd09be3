from __future__ import annotations

import json
import math
import statistics

import pytest

from gsv2.training.accounting.state import TrainState
from gsv2.training.config import TrainerConfig
from gsv2.training.guard import (
    FIRST_STEPS,
    WINDOW_UPDATES,
    Refusal,
    TrainingError,
    UpdateGuard,
    check_first_steps,
    check_left_out,
    note_left_out,
)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_refused_and_no_spike(bad: float) -> None:
    guard = UpdateGuard(factor=2.0, warmup_updates=1)
    refusal = Refusal("not finite", is_spike=False)
    assert guard.judge("gpt", 1.0, bad) == guard.judge("gpt", bad, 0.5) == refusal
    assert guard.judge("gpt", 1.0, 0.5) is None


def test_spikes_are_those_above_the_median_of_what_was_taken() -> None:
    """Against ten lines of reference over a noisy norm with spikes of many heights."""
    history: dict[str, list[float]] = {}
    guard = UpdateGuard(factor=3.0, warmup_updates=5, history=history)
    taken: list[float] = []
    for n in range(400):
        norm = 1.0 + 0.5 * math.sin(n) + (n % 7 == 6) * (n % 11)
        past = taken[-WINDOW_UPDATES:]
        is_spike = len(past) >= 5 and norm > 3 * statistics.median(past)
        refusal = guard.judge("gpt", norm, 2.0)
        assert (refusal is not None) == is_spike, n
        taken += [] if is_spike else [norm]
    assert history["gpt/grad_norm"] == taken[-WINDOW_UPDATES:]
    assert 10 < 400 - len(taken) < 60


def test_a_loss_spikes_as_a_norm_does() -> None:
    guard = UpdateGuard(factor=2.0, warmup_updates=2)
    assert [guard.judge("gpt", 1.0, loss) for loss in (1.0, 1.0, 1.75)] == [None] * 3
    spike = Refusal("gpt/loss is 2.25, its median 1", is_spike=True)
    assert guard.judge("gpt", 1.0, 2.25) == spike


def test_trainables_have_their_own_pasts_and_losses_below_zero_are_no_spikes() -> None:
    guard = UpdateGuard(factor=2.0, warmup_updates=2)
    for _ in range(3):
        assert guard.judge("discriminator", 1.0, -1.0) is None
        assert guard.judge("generator", 100.0, 50.0) is None
    assert guard.judge("discriminator", 1.0, -0.1) is None
    assert guard.judge("discriminator", 2.1, -0.1) is not None


def test_without_a_factor_nothing_is_a_spike() -> None:
    guard = UpdateGuard()
    assert [guard.judge("gpt", 10.0**n, 1.0) for n in range(200)] == [None] * 200


def test_a_guard_goes_on_from_a_saved_history() -> None:
    norms = [1 + n % 3 + 20.0 * (n % 17 == 16) for n in range(60)]

    def judge(guard: UpdateGuard, part: list[float]) -> list[bool]:
        return [guard.judge("gpt", norm, 1.0) is not None for norm in part]

    whole = judge(UpdateGuard(4.0, 10), norms)
    state = TrainState()
    first = judge(UpdateGuard(4.0, 10, state.history), norms[:25])
    restored = TrainState.from_plain(state.to_plain())
    second = judge(UpdateGuard(4.0, 10, restored.history), norms[25:])
    assert first + second == whole
    assert sum(whole) == 3


def left_out(step: int, config: TrainerConfig, *, skipped: int = 0, spikes: int = 0) -> TrainState:
    state = TrainState(step=step)
    note_left_out(state, skipped, spikes, config.left_out_window_steps)
    return state


def test_a_run_that_leaves_out_too_much_stops() -> None:
    config = TrainerConfig(max_steps=9, max_skipped_steps=2, max_spikes=3, spike_factor=4.0)
    check_left_out(left_out(7, config, skipped=2, spikes=3), config.left_out_limits)
    with pytest.raises(TrainingError, match=r"step 7: 3 updates .*not finite.*skipped_steps=2"):
        check_left_out(left_out(7, config, skipped=3), config.left_out_limits)
    with pytest.raises(TrainingError, match=r"4 updates .*spike_factor=4.0 .*max_spikes=3"):
        check_left_out(left_out(7, config, spikes=4), config.left_out_limits)


def test_what_was_left_out_long_ago_stops_no_run() -> None:
    """Two in every 100 steps, for ever; then too many at once, also after a restart."""
    config = TrainerConfig(max_steps=9, max_skipped_steps=2, left_out_window_steps=100)
    state = TrainState()
    for step in range(1, 1001):
        state.step = step
        note_left_out(state, int(step % 50 == 0), 0, 100)
        check_left_out(state, config.left_out_limits)
    assert state.skipped == 20
    assert state.left_out["skipped"] == [950, 1000]
    state = TrainState.from_plain(json.loads(json.dumps(state.to_plain())))
    state.step = 1001
    note_left_out(state, 1, 0, 100)
    message = r"3 updates .*last 100 steps \(trainer\.left_out_window_steps\)"
    with pytest.raises(TrainingError, match=message):
        check_left_out(state, config.left_out_limits)
    state.step = 1050
    note_left_out(state, 0, 0, 100)
    check_left_out(state, config.left_out_limits)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("spike_factor", 1.0),
        ("spike_factor", -2.0),
        ("spike_warmup_steps", 0),
        ("spike_warmup_steps", 129),
        ("max_spikes", -1),
        ("rank_timeout_sec", 0.0),
    ],
)
def test_limits_that_make_no_sense_are_named(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"trainer\.{field} .* is {value}"):
        TrainerConfig(max_steps=1, **{field: value})


@pytest.mark.parametrize("max_steps", [3, 100])
def test_a_run_that_never_takes_an_update_ends_with_an_error(max_steps: int) -> None:
    state = TrainState()
    limit = min(FIRST_STEPS, max_steps)
    for step in range(1, limit):
        state.step, state.skipped = step, step
        check_first_steps(state, {"gpt"}, set(), is_last=step == max_steps)
    state.step, state.skipped = limit, limit
    with pytest.raises(TrainingError, match=rf"step {limit}: every update of gpt since the first"):
        check_first_steps(state, {"gpt"}, set(), is_last=limit == max_steps)


def test_one_trainable_that_learns_does_not_hide_another_that_never_does() -> None:
    state = TrainState(step=FIRST_STEPS)
    state.skipped = FIRST_STEPS
    with pytest.raises(TrainingError, match=r"every update of discriminator since"):
        check_first_steps(state, {"discriminator"}, {"generator"}, is_last=False)


def test_a_run_that_takes_updates_again_or_begins_late_goes_on() -> None:
    state = TrainState(step=500)
    state.skipped = 12
    check_first_steps(state, {"gpt"}, set(), is_last=False)
    state = TrainState(step=FIRST_STEPS)
    state.skipped = FIRST_STEPS
    check_first_steps(state, {"gpt"}, {"gpt"}, is_last=False)
