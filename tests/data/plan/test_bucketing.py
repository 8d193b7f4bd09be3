from itertools import pairwise

import numpy as np

from gsv2.data.plan.bucketing import Budget, cut_buckets


def test_every_sequence_is_in_one_group_within_the_budget():
    rng = np.random.default_rng(0)
    items, lengths = rng.integers(1, 5, 500), rng.integers(10, 900, 500)
    groups = cut_buckets(items, lengths, 5000)
    assert sorted(np.concatenate(groups)) == list(range(500))
    for group in groups:
        assert items[group].sum() * lengths[group].max() <= 5000


def test_a_group_ends_only_where_the_next_sequence_would_not_fit():
    rng = np.random.default_rng(1)
    items, lengths = rng.integers(1, 5, 300), rng.integers(10, 900, 300)
    groups = cut_buckets(items, lengths, 5000)
    for group, following in pairwise(groups):
        assert (items[group].sum() + items[following[0]]) * lengths[group].max() > 5000


def test_a_sequence_over_the_budget_stays_alone():
    groups = cut_buckets(np.array([1, 1, 1]), np.array([10, 100, 5]), 20)
    assert [group.tolist() for group in groups] == [[1], [0, 2]]


def test_frames_pad_clips_and_tokens_pad_sequences():
    counts, totals, longest = np.array([3, 1]), np.array([60, 7]), np.array([30, 7])
    for unit, expected in (("frames", ([3, 1], [30, 7])), ("tokens", ([1, 1], [60, 7]))):
        items, lengths = Budget(unit=unit, limit=80).sizes(counts, totals, longest)
        assert (items.tolist(), lengths.tolist()) == expected


def test_no_group_lies_on_both_sides_of_a_boundary():
    rng = np.random.default_rng(2)
    items, lengths = np.ones(400, dtype=int), rng.integers(10, 900, 400)
    groups = cut_buckets(items, lengths, 5000, [100, 300, 500])
    assert sorted(np.concatenate(groups)) == list(range(400))
    for group in groups:
        assert len({np.searchsorted([100, 300, 500], length) for length in lengths[group]}) == 1
    on_it = cut_buckets(np.array([1, 1]), np.array([101, 100]), 5000, [100])
    assert [group.tolist() for group in on_it] == [[0], [1]], "a boundary belongs to those below"
