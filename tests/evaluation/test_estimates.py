"""Intervals against closed forms."""

import numpy as np
import pytest

from gsv2.evaluation.estimates import (
    Measurement,
    estimate_difference,
    estimate_median,
    estimate_ratio,
)

NORMAL_95 = 1.959964


def test_the_interval_of_a_mean_is_that_of_the_central_limit_theorem():
    values = np.random.default_rng(0).normal(3.0, 2.0, size=400)
    found = estimate_ratio([Measurement(value) for value in values])
    reach = NORMAL_95 * values.std() / np.sqrt(len(values))
    assert found.value == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - reach, abs=0.1 * reach)
    assert found.high == pytest.approx(values.mean() + reach, abs=0.1 * reach)
    assert found.num_sentences == 400


def test_an_error_rate_weighs_sentences_by_their_words_and_has_the_interval_of_a_ratio():
    rng = np.random.default_rng(1)
    words = rng.integers(3, 20, size=300)
    errors = rng.binomial(words, 0.2)
    found = estimate_ratio([Measurement(*pair) for pair in zip(errors, words, strict=True)])
    rate = errors.sum() / words.sum()
    # Linearised variance of a ratio estimator (Cochran, Sampling Techniques, 1977, 6.4).
    spread = np.sqrt(((errors - rate * words) ** 2).sum()) / words.sum()
    assert found.value == pytest.approx(rate)
    assert found.high - found.low == pytest.approx(2 * NORMAL_95 * spread, rel=0.1)


def test_what_sentences_share_drops_out_of_a_difference_of_pairs():
    base = np.random.default_rng(2).normal(size=50) * 100
    pairs = [Measurement(v + 1.0) for v in base], [Measurement(v) for v in base]
    found = estimate_difference(*pairs)
    assert found[:3] == pytest.approx((1.0, 1.0, 1.0))
    with pytest.raises(ValueError, match="must be of the same sentences"):
        estimate_difference(pairs[0], pairs[1][1:])


def test_the_median_is_that_of_the_groups_whatever_their_size():
    groups = {
        "en": [Measurement(0.1)] * 90,
        "zh": [Measurement(0.5)] * 5,
        "ar": [Measurement(0.3), Measurement(0.3)],
    }
    assert estimate_median(groups) == pytest.approx((0.3, 0.3, 0.3, 97))


def test_a_single_sentence_has_no_interval():
    assert estimate_ratio([Measurement(1, 4)]) == (0.25, None, None, 1)


def test_estimates_are_reproducible():
    measured = [Measurement(value) for value in np.random.default_rng(3).normal(size=20)]
    assert estimate_ratio(measured) == estimate_ratio(measured)
