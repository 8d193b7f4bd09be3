"""Estimates with intervals, by the bootstrap over sentences (Efron, 1979; percentiles).

Every figure is a ratio of two sums over sentences: errors over words, seconds over seconds, or
values over their number. Sentences are drawn anew with replacement, numerator and denominator
together, so that long sentences weigh what they weigh in the figure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

NUM_RESAMPLES = 2000
"""Draws of the sentences."""
_CONFIDENCE = 0.95
_SEED = 20240229
_ROWS_AT_ONCE = 200
"""Draws whose weights are in memory together."""


class Estimate(NamedTuple):
    """A figure over some sentences."""

    value: float
    """Sum of the numerators over that of the denominators."""
    low: float | None
    """Lower end of the interval that holds 95 % of the draws; None for a single sentence."""
    high: float | None
    """Upper end."""
    num_sentences: int
    """Sentences that it was measured on."""


class Measurement(NamedTuple):
    """What one sentence adds to a figure."""

    numerator: float
    denominator: float = 1.0
    """Weight of the sentence, above 0."""


def estimate_ratio(measured: Sequence[Measurement]) -> Estimate:
    """Return the ratio of the sums.

    Args:
        measured: figures of at least one sentence.
    """
    return _estimate(_ratio(measured), _draws(measured), len(measured))


def estimate_difference(
    measured: Sequence[Measurement], baseline: Sequence[Measurement]
) -> Estimate:
    """Return the ratio of `measured` less that of `baseline`, of the same sentences in pairs."""
    if len(measured) != len(baseline):
        raise ValueError(
            f"pairs must be of the same sentences, but there are {len(measured)} and "
            f"{len(baseline)}"
        )
    value = _ratio(measured) - _ratio(baseline)
    return _estimate(value, _draws(measured) - _draws(baseline), len(measured))


def estimate_median(groups: Mapping[str, Sequence[Measurement]]) -> Estimate:
    """Return the median of the groups' ratios; sentences are drawn within their group."""
    value = float(np.median([_ratio(group) for group in groups.values()]))
    draws = [_draws(group, seed=number) for number, group in enumerate(groups.values())]
    count = sum(map(len, groups.values()))
    return _estimate(value, np.median(np.stack(draws), axis=0), count)


def _ratio(measured: Sequence[Measurement]) -> float:
    return sum(item.numerator for item in measured) / sum(item.denominator for item in measured)


def _draws(measured: Sequence[Measurement], seed: int = 0) -> NDArray[np.float64]:
    """Return the ratio in each draw [NUM_RESAMPLES]; equal numbers of sentences draw alike."""
    rng = np.random.default_rng((_SEED, seed))
    sums = np.array(measured, dtype=np.float64)  # [n, 2]
    n = len(sums)
    parts = []
    for start in range(0, NUM_RESAMPLES, _ROWS_AT_ONCE):
        rows = min(_ROWS_AT_ONCE, NUM_RESAMPLES - start)
        times = rng.multinomial(n, np.full(n, 1 / n), size=rows)  # [rows, n]
        parts.append(times @ sums)
    drawn = np.concatenate(parts)
    return drawn[:, 0] / drawn[:, 1]


def _estimate(value: float, draws: NDArray[np.float64], count: int) -> Estimate:
    if count < 2:
        return Estimate(value, None, None, count)
    tail = 50 * (1 - _CONFIDENCE)
    low, high = np.percentile(draws, [tail, 100 - tail])
    return Estimate(value, float(low), float(high), count)
