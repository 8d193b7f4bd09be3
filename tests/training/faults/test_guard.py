from __future__ import annotations

import math
import statistics

import pytest

from gsv2.training.distributed import Distributed
from gsv2.training.faults.guard import (
    WINDOW_UPDATES,
    Refusal,
    TrainingError,
    UpdateGuard,
    check_left_out,
)
from gsv2.training.state import TrainState
from gsv2.training.trainer import TrainerConfig
from tests.training.crowd import run_ranks


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_one_rank_that_is_not_finite_refuses_for_all(bad: float) -> None:
    def run(distributed: Distributed) -> Refusal | None:
        guard = UpdateGuard(distributed, factor=2.0, warmup_updates=1)
        return guard.judge("gpt", 1.0, [0.5, bad if distributed.rank == 2 else 0.5])

    assert run_ranks(3, run) == [Refusal("not finite", is_spike=False)] * 3


def test_spikes_are_those_above_the_median_of_what_was_taken(distributed: Distributed) -> None:
    """Against ten lines of reference over a noisy norm with spikes of many heights."""
    history: dict[str, list[float]] = {}
    guard = UpdateGuard(distributed, factor=3.0, warmup_updates=5, history=history)
    taken: list[float] = []
    for n in range(400):
        norm = 1.0 + 0.5 * math.sin(n) + (n % 7 == 6) * (n % 11)
        past = taken[-WINDOW_UPDATES:]
        is_spike = len(past) >= 5 and norm > 3 * statistics.median(past)
        refusal = guard.judge("gpt", norm, [2.0])
        assert (refusal is not None) == is_spike, n
        taken += [] if is_spike else [norm]
    assert history["gpt/grad_norm"] == taken[-WINDOW_UPDATES:]
    assert 10 < 400 - len(taken) < 60


def test_a_loss_spikes_by_the_mean_over_all_ranks() -> None:
    def run(distributed: Distributed) -> list[Refusal | None]:
        guard = UpdateGuard(distributed, factor=2.0, warmup_updates=2)
        values = [1.0, 1.0, 2.5 if distributed.rank else 1.0, 3.5 if distributed.rank else 1.0]
        return [guard.judge("gpt", 1.0, [value, value]) for value in values]

    spike = Refusal("gpt/loss is 2.25, its median 1", is_spike=True)
    assert run_ranks(2, run) == [[None, None, None, spike]] * 2


def test_trainables_have_their_own_pasts_and_losses_below_zero_are_no_spikes(
    distributed: Distributed,
) -> None:
    guard = UpdateGuard(distributed, factor=2.0, warmup_updates=2)
    for _ in range(3):
        assert guard.judge("discriminator", 1.0, [-1.0]) is None
        assert guard.judge("generator", 100.0, [50.0]) is None
    assert guard.judge("discriminator", 1.0, [-0.1]) is None
    assert guard.judge("discriminator", 2.1, [-0.1]) is not None


def test_without_a_factor_nothing_is_a_spike(distributed: Distributed) -> None:
    guard = UpdateGuard(distributed)
    assert [guard.judge("gpt", 10.0**n, [1.0]) for n in range(200)] == [None] * 200


def test_a_guard_goes_on_from_a_saved_history(distributed: Distributed) -> None:
    norms = [1 + n % 3 + 20.0 * (n % 17 == 16) for n in range(60)]

    def judge(guard: UpdateGuard, part: list[float]) -> list[bool]:
        return [guard.judge("gpt", norm, [1.0]) is not None for norm in part]

    whole = judge(UpdateGuard(distributed, 4.0, 10), norms)
    state = TrainState()
    first = judge(UpdateGuard(distributed, 4.0, 10, state.history), norms[:25])
    restored = TrainState.from_plain(state.to_plain())
    second = judge(UpdateGuard(distributed, 4.0, 10, restored.history), norms[25:])
    assert first + second == whole
    assert sum(whole) == 3


def test_a_run_that_leaves_out_too_much_stops() -> None:
    config = TrainerConfig(max_steps=9, max_skipped_steps=2, max_spikes=3, spike_factor=4.0)
    check_left_out(TrainState(skipped=2, spikes=3), config)
    with pytest.raises(TrainingError, match=r"step 7: 3 updates .*not finite.*skipped_steps=2"):
        check_left_out(TrainState(step=7, skipped=3), config)
    with pytest.raises(TrainingError, match=r"4 updates .*spike_factor=4.0 .*max_spikes=3"):
        check_left_out(TrainState(spikes=4), config)


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
