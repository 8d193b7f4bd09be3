from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from gsv2.fit.budget import TimeBudget

WEIGHTS = {"quantizer": 0.10, "aligner": 0.07, "gpt": 0.30, "vits2": 0.53}


def test_without_anything_else_the_shares_are_the_weights() -> None:
    plan = TimeBudget(total_sec=1000.0, weights=WEIGHTS, kept_sec=100.0).plan()
    assert plan == pytest.approx({name: 900.0 * weight for name, weight in WEIGHTS.items()})


def test_what_runs_late_shortens_what_follows_in_proportion() -> None:
    budget = TimeBudget(total_sec=1000.0, weights=WEIGHTS)
    on_time = {"quantizer": 100.0, "aligner": 70.0}
    late = {**on_time, "codes": 83.0}
    for step in ("gpt", "vits2"):
        assert budget.allot(step, late) < budget.allot(step, on_time)
    gpt = budget.allot("gpt", late)
    assert gpt / budget.allot("vits2", {**late, "gpt": gpt}) == pytest.approx(0.30 / 0.53)


def test_a_step_that_goes_on_is_allotted_what_it_was_at_first() -> None:
    budget = TimeBudget(total_sec=1000.0, weights=WEIGHTS)
    used = {"quantizer": 100.0, "aligner": 70.0}
    assert budget.allot("gpt", {**used, "gpt": 250.0}) == budget.allot("gpt", used)


@pytest.mark.parametrize("seed", range(200))
def test_steps_that_keep_to_their_time_never_use_more_than_there_is(seed: int) -> None:
    """Whatever comes between them, and however much of its own time each takes."""
    rng = np.random.default_rng(seed)
    total, kept = 10.0 ** rng.uniform(-3, 6), float(rng.choice([0.0, 0.08, 1.0]))
    others = total * rng.uniform(0, rng.choice([0.01, 1.0]), size=4)
    shares = rng.choice([0.0, rng.uniform(), 1.0], size=4)
    budget = TimeBudget(total_sec=total, weights=WEIGHTS, kept_sec=kept * total)
    used: dict[str, float] = {}
    trained = 0.0
    for name, other, share in zip(WEIGHTS, others, shares, strict=True):
        allotted = budget.allot(name, used)
        assert allotted >= 0.0
        left = total - kept * total - sum(used.values())
        assert allotted <= max(left, 0.0) * (1 + 1e-9) + 1e-9
        used[name] = share * allotted
        trained += used[name]
        used[f"after {name}"] = other
    assert trained <= total * (1 - kept) * (1 + 1e-9) + 1e-9


def test_nothing_is_left_when_all_time_is_gone() -> None:
    assert TimeBudget(total_sec=10.0, weights=WEIGHTS).allot("gpt", {"codes": 11.0}) == 0.0


def test_a_larger_total_gives_every_step_more() -> None:
    plans = [TimeBudget(total_sec=total, weights=WEIGHTS).plan() for total in (60.0, 600.0, 6000.0)]
    assert all(a[name] < b[name] for a, b in pairwise(plans) for name in WEIGHTS)


@pytest.mark.parametrize("total", [0.0, -1.0, float("nan"), float("inf")])
def test_a_time_that_is_none_is_refused(total: float) -> None:
    with pytest.raises(ValueError, match="the time must be above 0"):
        TimeBudget(total_sec=total, weights=WEIGHTS)
