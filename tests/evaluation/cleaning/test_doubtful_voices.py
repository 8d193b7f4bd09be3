"""Doubtful voices by their vectors."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from gsv2.evaluation.cleaning.doubtful_voices import doubtful_voices

RNG = np.random.default_rng(0)
VOICES = np.linalg.qr(RNG.standard_normal((32, 8)))[0].T  # eight directions at right angles


def vectors(voice: int, count: int) -> np.ndarray:
    found = VOICES[voice] + 0.05 * RNG.standard_normal((count, 32))
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def table(*groups: tuple[str, int, int]) -> pa.Table:
    """Return the figures of (speaker, voice, clips), keys SPEAKER/VOICE/NUMBER."""
    rows = [
        {
            "key": f"{speaker}/{voice}/{n}",
            "speaker": speaker,
            "language": "en",
            "text": "hello",
            "voice": vector.astype(np.float32),
        }
        for speaker, voice, count in groups
        for n, vector in enumerate(vectors(voice, count))
    ]
    return pa.Table.from_pylist(rows)


def found(*groups: tuple[str, int, int]) -> list[str]:
    return sorted(clip.key for clip in doubtful_voices(table(*groups)).clips)


def test_single_clips_of_other_voices_are_found_whether_the_corpus_knows_them_or_not():
    clean = [("ann", 0, 20), ("bo", 1, 20), ("cy", 2, 20)]
    assert found(*clean) == []
    assert found(*clean, ("ann", 1, 2), ("bo", 7, 1)) == ["ann/1/0", "ann/1/1", "bo/7/0"]


def test_of_two_people_under_one_name_the_one_with_fewer_clips_is_listed():
    doubts = doubtful_voices(table(("ann", 0, 20), ("bo", 1, 13), ("bo", 5, 11), ("cy", 2, 5)))
    assert {clip.key for clip in doubts.clips} == {f"bo/5/{n}" for n in range(11)}
    for clip in doubts.clips:
        assert clip.other.startswith("bo/1/")
        assert clip.measured <= clip.threshold
    assert "11 of" not in doubts.notes[0]
    assert "similarity" in doubts.notes[0]


def test_of_a_pair_that_differs_one_clip_is_listed_with_the_other():
    (clip,) = doubtful_voices(table(("ann", 0, 9), ("bo", 1, 9), ("cy", 2, 1), ("cy", 3, 1))).clips
    assert {clip.key, clip.other} == {"cy/2/0", "cy/3/0"}
    assert clip.measured == pytest.approx(0, abs=0.3)


def test_clips_without_a_speaker_and_speakers_of_one_clip_are_not_judged():
    assert found(("ann", 0, 9), ("bo", 1, 9), ("", 3, 5), ("", 4, 5), ("cy", 5, 1)) == []
    doubts = doubtful_voices(table(("ann", 0, 9), ("bo", 1, 1)))
    assert not doubts.clips
    assert "nothing tells voices apart" in doubts.notes[0]
