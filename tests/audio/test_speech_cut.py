"""Clips hold all the speech that is long enough, are short enough, and end in pauses."""

from itertools import pairwise

import numpy as np
import pytest

from gsv2.audio.speech_cut import CutConfig, cut_speech

FRAME = 0.1


def chances(*runs: tuple[float, float]) -> np.ndarray:
    """Return frames of 0.1 s from (seconds, likelihood)."""
    return np.concatenate([np.full(round(s / FRAME), p) for s, p in runs])


def spans(values: np.ndarray, **options: float) -> list[tuple[float, float]]:
    cut = cut_speech(values, FRAME, CutConfig(**{"keep_sec": 0.2, **options}))
    return [(pytest.approx(span.start_sec), pytest.approx(span.end_sec)) for span in cut]


def test_a_long_pause_ends_a_clip_and_a_short_one_does_not():
    said = chances((2, 0), (3, 0.9), (0.5, 0), (2, 0.9), (1.5, 0), (4, 0.9), (1, 0))
    assert spans(said) == [(1.8, 7.7), (8.8, 13.2)]


def test_clips_that_fit_are_joined_up_to_the_longest():
    said = chances((4, 0.9), (0.5, 0), (4, 0.9), (0.5, 0), (4, 0.9))
    assert spans(said, max_sec=9) == [(0, 8.7), (8.8, 13.0)]


def test_speech_without_a_pause_is_cut_where_it_is_least_likely():
    said = chances((6, 0.9), (0.1, 0.6), (6, 0.9))
    assert spans(said, max_sec=10, keep_sec=0) == [(0, 6.0), (6.0, 12.1)]


def test_random_recordings_keep_the_limits_and_lose_no_long_speech():
    rng = np.random.default_rng(0)
    for _ in range(50):
        said = np.repeat(rng.random(60), rng.integers(1, 40, 60))
        config = CutConfig(max_sec=8.0, keep_sec=0.2)
        found = cut_speech(said, FRAME, config)
        assert all(span.end_sec - span.start_sec <= 8.0 + 0.4 + 1e-6 for span in found)
        assert all(a.end_sec <= b.start_sec for a, b in pairwise(found))
        held = np.zeros(len(said), bool)
        for span in found:
            held[round(span.start_sec / FRAME) : round(span.end_sec / FRAME)] = True
        lost = said >= config.threshold
        lost[held] = False
        runs = np.split(lost, np.flatnonzero(np.diff(lost)) + 1)
        assert all(run.sum() * FRAME < config.min_sec for run in runs)


def test_limits_that_cannot_be_meant_are_refused():
    for wrong in ({"max_sec": 0.5}, {"min_pause_sec": 2.0}, {"threshold": 1.5}):
        with pytest.raises(ValueError, match="must be"):
            CutConfig(**wrong)
