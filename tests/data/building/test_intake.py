import json

import numpy as np

from gsv2.data.building.encode import ClipRecord, Rejected, ShardConfig
from gsv2.data.building.intake import Intake, IntakeConfig
from gsv2.data.building.text_rate import TextRateConfig


def record(key, text="hello", seconds=1.0):
    wave = 0.1 * np.sin(np.arange(int(seconds * 32_000)) * 0.05).astype(np.float32)
    return ClipRecord(key=key, wave=wave, text=text, language="en")


def test_every_offered_clip_is_accepted_or_named_with_a_reason(tmp_path):
    offered = [
        record("a"),
        record("mute", text="?!"),
        record("a"),
        record("tiny", seconds=0.01),
        Rejected(key="lost", reason="audio missing or unreadable"),
        record("b"),
    ]
    with Intake(tmp_path, ShardConfig(), IntakeConfig()) as intake:
        accepted = [clip.key for clip, _ in intake.accepted(offered)]
    named = [json.loads(line) for line in (tmp_path / "rejected.jsonl").read_text().splitlines()]
    assert accepted == ["a", "b"]
    assert [clip["key"] for clip in named] == ["mute", "a", "tiny", "lost"]
    assert named[1]["reason"] == "key used twice"
    assert sum(intake.rejections.counts.values()) == 4
    assert intake.num_offered == len(offered)


def test_what_breaks_a_limit_is_named_with_the_measured_value_and_the_limit(tmp_path):
    offered = [
        record("tiny", seconds=0.05),
        record("packed", text="letters " * 20),
        record("faint", seconds=1.0),
    ]
    offered[2].wave[:] *= 1e-5
    with Intake(tmp_path, ShardConfig(), IntakeConfig(text_rate=TextRateConfig())) as intake:
        assert not list(intake.accepted(offered))
    named = [json.loads(line) for line in (tmp_path / "rejected.jsonl").read_text().splitlines()]
    limits = {clip["key"]: (clip["measured"], clip["threshold"]) for clip in named}
    assert limits["tiny"] == (0.05, 0.1)
    assert limits["packed"] == (140.0, 50.0)
    measured, threshold = limits["faint"]
    assert threshold == -70.0
    assert measured is None or measured < -70
