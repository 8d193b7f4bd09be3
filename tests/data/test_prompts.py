from collections import Counter

import numpy as np
import pytest

from gsv2.data.bucketing import Budget
from gsv2.data.prompts import make_sequences

NUM = 3000
RNG = np.random.default_rng(0)
ROWS = np.arange(100, 100 + NUM)
VOICES = RNG.integers(0, 20, NUM)
SECONDS = RNG.uniform(1, 12, NUM)
FRAMES = (50 * SECONDS).astype(int)


def sequences(unit="tokens", limit=10**6, max_clips=4, max_seconds=30.0, seed=0):
    return make_sequences(
        ROWS,
        VOICES,
        SECONDS,
        FRAMES,
        max_clips=max_clips,
        max_seconds=max_seconds,
        budget=Budget(unit=unit, limit=limit),
        rng=np.random.default_rng(seed),
    )


@pytest.mark.parametrize("unit", ["frames", "tokens"])
def test_every_clip_once_one_voice_within_the_limits(unit):
    made = sequences(unit, limit=1000)
    assert sorted(row for s in made for row in s) == ROWS.tolist()
    for s in made:
        clips = np.array(s) - 100
        assert len(set(VOICES[clips])) == 1
        assert len(s) <= 4
        assert SECONDS[clips].sum() <= 30.0
        assert Budget(unit=unit, limit=1000).fits(FRAMES[clips].tolist())


def test_all_numbers_of_clips_are_about_equally_frequent():
    counts = Counter(map(len, sequences(max_seconds=1e9)))
    assert set(counts) == {1, 2, 3, 4}
    assert max(counts.values()) < 1.3 * min(counts.values())


def test_a_clip_over_the_limits_stands_alone():
    assert all(len(s) == 1 for s in sequences(max_seconds=0.5))


def test_one_clip_each_when_asked():
    assert len(sequences(max_clips=1)) == NUM


def test_frames_bring_clips_of_similar_length_together():
    def spread(unit):
        made = [np.array(s) - 100 for s in sequences(unit) if len(s) > 1]
        return np.mean([SECONDS[clips].max() - SECONDS[clips].min() for clips in made])

    assert spread("frames") < 0.5 * spread("tokens")


def test_partners_change_with_the_seed_and_not_otherwise():
    assert sequences(seed=1) == sequences(seed=1)
    partners = [{s for s in sequences(seed=seed) if len(s) > 1} for seed in (1, 2)]
    assert len(partners[0] & partners[1]) < 0.05 * len(partners[0])
