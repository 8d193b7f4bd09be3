"""The first clips of each reason are heard, as far as they have a sound."""

from __future__ import annotations

import json

import numpy as np
import pytest

from gsv2.audio.wave import save_wave
from gsv2.data.building.heard_rejects import HEARD_REJECTS, first_rejects, rejected_sounds
from gsv2.data.building.offered import Recording
from tests.support.said import put


def test_each_reason_is_heard_and_what_has_no_sound_is_not(tmp_path):
    recordings = []
    for number in range(12):
        path = tmp_path / f"{number}.wav"
        if number:
            save_wave(path, np.full(9 * 16_000, 0.01 * number), 16_000)
        else:
            put(path, b"no sound")
        recordings.append(
            Recording(
                key=f"k{number}", name=path.name, place=str(path), audio=path, text="hi",
                language="en",
            )
        )  # fmt: skip
    lines = [{"key": f"k{n}", "reason": "text too long"} for n in (5, *range(12))]
    lines.append({"key": "k0", "reason": "audio cannot be read"})
    lines += [{"key": "", "reason": "left alone", "later": "field"}]
    rejected = put(tmp_path / "rejected.jsonl", "\n".join(map(json.dumps, lines)) + "\n")
    first = first_rejects(rejected)
    assert {reason: len(clips) for reason, clips in first.items()} == {
        "text too long": HEARD_REJECTS, "audio cannot be read": 1, "left alone": 1
    }  # fmt: skip
    sounds = rejected_sounds(rejected, iter(recordings))
    assert set(sounds) == {f"k{number}" for number in range(1, 9)}
    assert len(sounds["k5"]) == 6 * 32_000
    assert sounds["k5"].mean() == pytest.approx(0.05, rel=0.02)


def test_where_nothing_was_rejected_nothing_is_read(tmp_path):
    assert rejected_sounds(tmp_path / "rejected.jsonl", None) == {}
