"""Monotonic alignment search against a dynamic programme, in numba and in numpy."""

from __future__ import annotations

import numpy as np
import torch

from gsv2.models.vits2.monotonic_alignment import (
    durations_of_clip,
    search_durations,
    walk_by_numpy,
)


def best_total(scores: np.ndarray) -> float:
    """Return the likelihood of the likeliest path: the recurrence as the paper writes it."""
    T, S = scores.shape
    table = np.full((S, T), -np.inf)
    for t in range(T):
        for s in range(S):
            before = 0.0 if s == t == 0 else -np.inf
            if t > 0:
                before = max(table[s, t - 1], table[s - 1, t - 1] if s > 0 else -np.inf)
            table[s, t] = before + scores[t, s]
    return float(table[S - 1, T - 1])


def total_of(scores: np.ndarray, durations: np.ndarray) -> float:
    tokens = np.repeat(np.arange(len(durations)), durations)
    return float(scores[np.arange(len(scores)), tokens].astype(np.float64).sum())


def test_200_random_cases_are_as_likely_as_the_dynamic_programme_says() -> None:
    random = np.random.default_rng(0)
    for _ in range(200):
        S = int(random.integers(1, 13))
        T = int(random.integers(S, 40))
        scores = random.normal(size=(T, S)).astype(np.float32)
        durations = durations_of_clip(scores)
        assert durations.min() >= 1
        assert durations.sum() == T
        assert np.isclose(total_of(scores, durations), best_total(scores), rtol=0, atol=1e-9)
        assert (walk_by_numpy(scores) == durations).all()


def test_ties_and_infinities_give_both_the_same_valid_path() -> None:
    for scores in (np.zeros((7, 3)), np.full((5, 5), -np.inf), np.full((6, 2), np.nan)):
        durations = durations_of_clip(scores)
        assert (walk_by_numpy(scores) == durations).all()
        assert durations.min() >= 1
        assert durations.sum() == len(scores)


def test_a_text_longer_than_its_audio_is_spread_evenly() -> None:
    for T, S in ((0, 3), (1, 2), (5, 6), (5, 23)):
        durations = durations_of_clip(np.zeros((T, S), dtype=np.float32))
        assert durations.sum() == T
        assert set(durations.tolist()) <= {0, 1}
        gaps = np.diff(np.flatnonzero(durations))
        assert gaps.size == 0 or gaps.max() - gaps.min() <= 1


def test_padding_changes_no_duration() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(3, 20, 9, generator=generator)
    tokens, frames = torch.tensor([9, 4, 7]), torch.tensor([20, 11, 5])
    durations = search_durations(scores, tokens, frames)
    assert durations.sum(dim=1).tolist() == frames.tolist()
    for clip in range(3):
        alone = scores[clip : clip + 1, : frames[clip], : tokens[clip]]
        found = search_durations(alone, tokens[clip : clip + 1], frames[clip : clip + 1])[0]
        assert durations[clip, : tokens[clip]].equal(found)
        assert (durations[clip, tokens[clip] :] == 0).all()
