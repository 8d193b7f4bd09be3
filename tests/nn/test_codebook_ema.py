import numpy as np
import pytest
import torch

from gsv2.nn.codebook_ema import (
    collect_statistics,
    dead_entries,
    revive_entries,
)


def test_counts_and_sums_equal_numpy_and_leave_padding_out() -> None:
    rng = np.random.default_rng(0)
    vectors, codes = rng.normal(size=(3, 20, 4)), rng.integers(5, size=(3, 20))
    mask = rng.random(20) < 0.7
    codes[:, ~mask] = -1
    statistics = collect_statistics(
        torch.tensor(vectors, dtype=torch.float32), torch.tensor(codes), torch.tensor(mask), 5, 8
    )
    for k in range(3):
        for v in range(5):
            chosen = codes[k] == v
            assert statistics.counts[k, v] == chosen.sum()
            np.testing.assert_allclose(
                statistics.sums[k, v], vectors[k, chosen].sum(axis=0), atol=1e-5
            )


def test_candidates_are_different_valid_frames_the_same_for_all_codebooks() -> None:
    vectors = torch.arange(10.0).view(1, 10, 1).repeat(2, 1, 1)
    mask = torch.arange(10) < 6
    statistics = collect_statistics(vectors, torch.zeros(2, 10, dtype=torch.long), mask, 3, 8)
    kept = statistics.candidates[statistics.is_candidate]
    assert sorted(kept[:, 0, 0].tolist()) == [0, 1, 2, 3, 4, 5]
    assert torch.equal(kept[:, 0], kept[:, 1])


@pytest.mark.parametrize("num_frames", [1, 3])
def test_a_micro_batch_of_padding_says_nothing(num_frames: int) -> None:
    codes = torch.full((2, num_frames), -1)
    mask = torch.zeros(num_frames, dtype=torch.bool)
    statistics = collect_statistics(torch.randn(2, num_frames, 4), codes, mask, 3, 8)
    assert not statistics.counts.any()
    assert not statistics.sums.any()
    assert not statistics.is_candidate.any()


def test_death_is_relative_to_the_mean_use() -> None:
    sizes = torch.tensor([0.0, 0.9, 1.1, 38.0])  # mean 10
    for scale in (1.0, 1000.0):
        assert dead_entries(scale * sizes, 0.1).tolist() == [True, True, False, False]
    assert not dead_entries(sizes, 0.0).any()


def test_dead_entries_take_one_candidate_each_and_the_mean_size() -> None:
    entries, candidates = torch.zeros(5, 2), torch.tensor([[1.0, 1.0], [2.0, 2.0]])
    sizes = torch.tensor([0.0, 10.0, 0.0, 10.0, 0.0])
    dead = torch.tensor([True, False, True, False, True])
    revived, new_sizes, which = revive_entries(entries, sizes, candidates, dead)
    assert revived[:, 0].tolist() == [1, 0, 2, 0, 0]
    assert new_sizes.tolist() == [4, 10, 4, 10, 0]
    assert which.tolist() == [True, False, True, False, False]


def test_without_candidates_nothing_is_revived() -> None:
    entries, sizes = torch.randn(3, 2), torch.zeros(3)
    same, _, which = revive_entries(entries, sizes, entries[:0], torch.ones(3, dtype=torch.bool))
    assert torch.equal(same, entries)
    assert not which.any()
