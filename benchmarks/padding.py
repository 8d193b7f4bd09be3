"""How much of what a step computes is padding: gsv2's plan and lhotse's bucketing, same clips.

Both read every clip once, in an order of their own, through a bounded buffer. A step costs what
its padded tensor holds: items x longest, or the packed rows.
"""

from __future__ import annotations

import importlib.metadata
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from benchmarks.harness import Row
from gsv2.data.plan.plan import MicroBatchPlan, Plan

NUM_BUCKETS = (10, 30, 50, 100)
"""Counts that lhotse is tried with; the first is its default."""
MANY_BUCKETS = (100, 300)
"""The same for a large buffer: few buckets pad as much as ever there, and take minutes."""
_LARGE_BUFFER = 50_000
_CALIBRATIONS = 2
"""Times that lhotse's budget is corrected, so that its steps hold as many real units as ours."""
_MAX_UNEQUAL = 0.02
"""A setting counts if the mean of the real units of its steps is as near to ours."""
_STARVING = 0.75
"""Share of ours below which buckets hold no batch each: they pad little, but hand out scraps."""


class Padding(NamedTuple):
    """Steps of one epoch."""

    real: np.ndarray
    """[steps] units of clips."""
    cost: np.ndarray
    """[steps] units with padding."""

    @property
    def share(self) -> float:
        """Real units of all that is computed."""
        return float(self.real.sum() / self.cost.sum())

    @property
    def cost_cv(self) -> float:
        """Coefficient of variation of what a step costs."""
        return float(self.cost.std() / self.cost.mean())

    @property
    def real_cv(self) -> float:
        """Coefficient of variation of the real units of a step."""
        return float(self.real.std() / self.real.mean())


def measure_plan(plan: Plan, lengths: np.ndarray) -> Padding:
    """Return the steps of one epoch of a plan.

    Args:
        plan: plan of a mixture of one part.
        lengths: [clips of the index] in units of the budget, counted apart from the plan.
    """
    seen = np.zeros(len(lengths), dtype=np.int64)
    real, cost = [], []
    for planned in plan.single_pass():
        rows = [np.array(rows) for rows in planned.sequences]
        np.add.at(seen, np.concatenate(rows), 1)
        real.append(sum(int(lengths[part].sum()) for part in rows))
        cost.append(_cost(plan, planned, [lengths[part] for part in rows]))
        assert abs(planned.padding - (1 - real[-1] / cost[-1])) < 1e-6, "the plan's own padding"
    assert (seen == 1).all(), "every clip exactly once"
    return Padding(np.array(real), np.array(cost))


def window_clips(plan: Plan) -> int:
    """Return the clips of the largest window of lane 0 in its first epoch."""
    window, largest = plan.window(0), 0
    while window.position.parts[0].epoch == 0:
        largest = max(largest, len(window.rows))
        window = window.following
    return largest


def measure_lhotse(
    lengths: np.ndarray, *, budget: float, buffer_size: int, num_buckets: int
) -> Padding:
    """Return the steps of one epoch of lhotse's DynamicBucketingSampler, shuffling.

    A cut lasts as many seconds as the clip has units, so that `max_duration` is the budget of
    padded units.

    Args:
        lengths: [clips] in units.
        budget: most that a step costs.
        buffer_size: clips.
        num_buckets: of equal total duration, which lhotse estimates from the first 10000 clips.
    """
    from lhotse import MonoCut
    from lhotse.dataset import DynamicBucketingSampler

    cuts = [
        MonoCut(id=str(number), start=0, duration=float(length), channel=0)
        for number, length in enumerate(lengths.tolist())
    ]
    real, cost, count = [], [], 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the list of cuts is in memory; the buffer may be small
        sampler = DynamicBucketingSampler(
            cuts,
            max_duration=budget,
            num_buckets=num_buckets,
            shuffle=True,
            buffer_size=buffer_size,
            world_size=1,
            rank=0,
        )
        for batch in sampler:
            sizes = [cut.duration for cut in batch]
            count += len(sizes)
            real.append(sum(sizes))
            cost.append(len(sizes) * max(sizes))
    assert (count, sum(real)) == (len(lengths), lengths.sum()), "every clip exactly once"
    return Padding(np.array(real), np.array(cost))


def try_lhotse(
    lengths: np.ndarray, *, like: Padding, buffer_size: int, counts: Sequence[int] = NUM_BUCKETS
) -> dict[int, Padding]:
    """Return what lhotse does with ascending numbers of buckets, until they starve.

    Each is corrected to as many real units a step as `like` has.
    """
    tried = {}
    for num_buckets in counts:
        budget, is_default = float(like.cost.mean()), num_buckets == NUM_BUCKETS[0]
        for _ in range(1 + _CALIBRATIONS):
            found = measure_lhotse(
                lengths, budget=budget, buffer_size=buffer_size, num_buckets=num_buckets
            )
            excess = float(found.real.mean() / like.real.mean())
            if excess < _STARVING and not is_default:
                return tried
            if abs(excess - 1.0) <= _MAX_UNEQUAL:
                tried[num_buckets] = found
                break
            budget /= excess
    return tried


def report_lhotse(
    row: Row, mix: str, lengths: np.ndarray, *, like: Padding, buffer_size: int
) -> None:
    """Add the figures of lhotse, as it comes and tuned, or a note that it is absent."""
    try:
        version = importlib.metadata.version("lhotse")
    except importlib.metadata.PackageNotFoundError:
        row.note("lhotse is absent (`pip install -e '.[bench]'`): no peer in this row.")
        return
    counts = MANY_BUCKETS if buffer_size >= _LARGE_BUFFER else NUM_BUCKETS
    counts = NUM_BUCKETS[:1] if row.options.quick else counts
    tried = try_lhotse(lengths, like=like, buffer_size=buffer_size, counts=counts)
    if NUM_BUCKETS[0] in counts and NUM_BUCKETS[0] not in tried:
        row.note(f"{mix}: lhotse as it comes starves with a buffer of {buffer_size} clips.")
    tuned = max(tried, key=lambda count: tried[count].share, default=None)
    for count in dict.fromkeys([NUM_BUCKETS[0], tuned]):
        if count in tried:
            why = "tuned" if count == tuned else "default"
            name = f"{mix}: lhotse {version}, buffer {buffer_size}, {count} buckets ({why})"
            report(row, name, tried[count])


def report(row: Row, name: str, found: Padding) -> None:
    """Add the figures of one contender."""
    row.figure(f"{name}: real share", found.share)
    row.figure(f"{name}: step-cost CV", found.cost_cv)


def _cost(plan: Plan, planned: MicroBatchPlan, sequences: list[np.ndarray]) -> int:
    """Return the elements of the padded tensor of a micro-batch."""
    if plan.row_tokens:
        filled = np.bincount(
            planned.packed_rows,
            weights=[part.sum() for part in sequences],
            minlength=plan.num_packed_rows,
        )
        assert len(filled) == plan.num_packed_rows, "rows of a micro-batch"
        assert filled.max() <= plan.row_tokens, "a row is not overfull"
        return plan.num_packed_rows * plan.row_tokens
    return sum(map(len, sequences)) * max(int(part.max()) for part in sequences)
