"""Doubtful texts by their losses."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from gsv2.evaluation.cleaning.doubtful_texts import doubtful_texts


def figures(own: np.ndarray, others: list[list[float]], language: str = "en") -> pa.Table:
    keys = [f"{language}{n}" for n in range(len(own))]
    columns = {name: [name] * len(own) for name in ("speaker", "text")}
    return pa.table(
        {
            "key": keys,
            "language": [language] * len(own),
            **columns,
            "frames": [10] * len(own),
            "nats": list(own),
            "other_nats": pa.array(others, pa.list_(pa.float64())),
        }
    )


def test_a_text_is_doubtful_if_any_other_is_at_least_as_good():
    own = np.array([20.0, 20.0, 20.0])
    doubts = doubtful_texts(figures(own, [[25.0, 21.0], [30.0, 20.0], [10.0, 40.0]]))
    assert [clip.key for clip in doubts.clips] == []
    assert "does not read it yet" in doubts.notes[0]
    more = figures(
        np.append(own, [20.0] * 3), [[25.0, 21.0], [30.0, 20.0], [10.0, 40.0]] + [[30.0]] * 3
    )
    doubts = doubtful_texts(more)
    assert [(clip.key, clip.threshold) for clip in doubts.clips] == [("en2", 0), ("en1", 0)]
    assert [clip.measured for clip in doubts.clips] == pytest.approx([-1.0, 0.0])


def test_so_many_wrong_texts_are_found_as_chance_lets_and_right_ones_stay():
    rng = np.random.default_rng(0)
    wrong = rng.random(1000) < 0.1
    own = 100 + 5 * rng.standard_normal(1000) - np.where(wrong, 0, 40)
    others = 100 + 5 * rng.standard_normal((1000, 8))
    found = {clip.key for clip in doubtful_texts(figures(own, others.tolist())).clips}
    right = {f"en{n}" for n in np.flatnonzero(wrong)}
    assert found <= right
    assert len(found) / len(right) == pytest.approx(8 / 9, abs=0.08)


def test_a_language_that_the_gpt_does_not_read_lists_nothing_and_says_so():
    rng = np.random.default_rng(0)
    read = figures(np.full(50, 60.0), rng.normal(100, 5, (50, 4)).tolist())
    unread = figures(rng.normal(100, 5, 50), rng.normal(100, 5, (50, 4)).tolist(), "is")
    alone = figures(np.full(2, 60.0), [[], []], "zu")
    doubts = doubtful_texts(pa.concat_tables([read, unread, alone]))
    assert not doubts.clips
    assert [note.partition(":")[0] for note in doubts.notes] == ["en", "is", "zu"]
    assert "does not read it yet" in doubts.notes[1]
    assert "no other texts" in doubts.notes[2]
