from collections import Counter

import numpy as np
import pytest

from gsv2.data.config import DataConfig
from gsv2.data.plan.bucketing import Budget
from gsv2.data.plan.prompts import make_sequences

NUM = 3000
RNG = np.random.default_rng(0)
VOICES = RNG.integers(0, 20, NUM)
SECONDS = RNG.uniform(1, 12, NUM)
FRAMES = (50 * SECONDS).astype(int)


def sequences(unit="tokens", limit=10**6, seed=0, **values):
    made = make_sequences(
        VOICES,
        SECONDS,
        FRAMES,
        config=DataConfig(sources=[], max_frames=1, **values),
        budget=Budget(unit=unit, limit=limit),
        rng=np.random.default_rng(seed),
    )
    return [tuple(part.tolist()) for part in np.split(made.clips, made.starts[1:])]


@pytest.mark.parametrize("dropout", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("unit", ["frames", "tokens"])
def test_every_clip_once_one_voice_within_the_limits(unit, dropout):
    made = sequences(unit, limit=1000, prompt_dropout=dropout)
    assert sorted(clip for s in made for clip in s) == list(range(NUM))
    for s in made:
        clips = np.array(s)
        assert len(set(VOICES[clips])) == 1
        assert len(s) <= 4
        assert SECONDS[clips].sum() <= 30.0
        lengths = FRAMES[clips]
        assert (lengths.sum() if unit == "tokens" else len(s) * lengths.max()) <= 1000


def test_all_numbers_of_clips_are_about_equally_frequent():
    counts = Counter(map(len, sequences(max_seconds=1e9)))
    assert set(counts) == {1, 2, 3, 4}
    assert max(counts.values()) < 1.3 * min(counts.values())


def test_prompt_dropout_tells_that_share_of_sequences_apart():
    whole, dropped = (sequences(max_seconds=1e9, prompt_dropout=p) for p in (0.0, 0.25))
    longer = [sum(len(s) > 1 for s in made) for made in (whole, dropped)]
    assert longer[1] == pytest.approx(0.75 * longer[0], rel=0.06)
    assert {len(s) for s in sequences(prompt_dropout=1.0)} == {1}


def test_a_clip_over_the_limits_stands_alone():
    assert all(len(s) == 1 for s in sequences(max_seconds=0.5))


def test_one_clip_each_when_asked():
    assert len(sequences(max_clips=1)) == NUM


@pytest.mark.parametrize("ratio", [1.0, 1.05, 1.3])
def test_frames_bring_clips_of_similar_length_together(ratio):
    made = [FRAMES[list(s)] for s in sequences("frames", max_length_ratio=ratio) if len(s) > 1]
    spread = [lengths.max() / lengths.min() for lengths in made]
    jitter = (ratio - 1) / 2
    assert max(spread) <= ratio * (1 + jitter) + 1e-9
    assert len(made) > 100


def test_tokens_bring_clips_of_any_length_together():
    made = [FRAMES[list(s)] for s in sequences() if len(s) > 1]
    assert np.mean([lengths.max() / lengths.min() for lengths in made]) > 2


@pytest.mark.parametrize("unit", ["frames", "tokens"])
def test_partners_change_with_the_seed_and_not_otherwise(unit):
    assert sequences(unit, seed=1) == sequences(unit, seed=1)
    partners = [{frozenset(s) for s in sequences(unit, seed=seed) if len(s) > 1} for seed in (1, 2)]
    assert len(partners[0] & partners[1]) < 0.2 * len(partners[0])
