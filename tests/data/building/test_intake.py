import json

import numpy as np

from gsv2.data.building.encode import ClipRecord, Rejected, ShardConfig
from gsv2.data.building.intake import Rejections, accepted_clips


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
    rejections = Rejections(tmp_path / "rejected.jsonl")
    accepted = [clip.key for clip, _ in accepted_clips(offered, ShardConfig(), rejections)]
    named = [json.loads(line) for line in (tmp_path / "rejected.jsonl").read_text().splitlines()]
    assert accepted == ["a", "b"]
    assert [clip["key"] for clip in named] == ["mute", "a", "tiny", "lost"]
    assert named[1]["reason"] == "key used twice"
    assert sum(rejections.counts.values()) == 4
