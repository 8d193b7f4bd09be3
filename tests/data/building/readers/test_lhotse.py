"""Cuts of Lhotse: supervisions of one recording."""

from __future__ import annotations

import json

import numpy as np
import soundfile

from gsv2.data.corpus.format import SAMPLE_RATE
from tests.support.layouts import LAYOUTS
from tests.support.offered_clips import offered, reasons
from tests.support.said import RATE, put


def test_cuts_that_cannot_be_read_from_one_file_are_named(tmp_path):
    LAYOUTS["lhotse"].write(tmp_path)
    stereo = np.stack([np.zeros(RATE), np.sin(np.arange(RATE) / 5)], axis=1) * 0.3
    soundfile.write(tmp_path / "stereo.wav", stereo, RATE)
    said = {"id": "s", "start": 0, "duration": 1, "text": "Hi.", "language": "en", "channel": 1}
    source = {"type": "file", "channels": [0, 1], "source": "stereo.wav"}
    recording = {"id": "r", "sources": [source], "duration": 1.0}
    cut = {"id": "two", "start": 0, "duration": 1, "channel": 1, "type": "MonoCut",
           "supervisions": [said], "recording": recording}  # fmt: skip
    command = {**recording, "sources": [{**source, "type": "command"}]}
    lines = [
        cut,
        {**cut, "id": "mixed", "type": "MixedCut"},
        {**cut, "id": "mute", "supervisions": []},
        {**cut, "id": "pipe", "recording": command},
        {**cut, "id": "empty", "supervisions": [{**said, "text": None}]},
        {**cut, "id": "odd", "supervisions": [{"id": "s"}]},
        {**cut, "id": "late", "supervisions": [{**said, "start": 3}]},
    ]
    put(tmp_path / "more.jsonl", "\n".join([*map(json.dumps, lines), "{"]))
    clips = offered(tmp_path / "more.jsonl", "lhotse")
    assert (clips[0].key, len(clips[0].wave)) == ("two", SAMPLE_RATE)
    assert np.abs(clips[0].wave).max() > 0.25, "the other channel, which is silent, is not mixed in"
    assert reasons(clips) == [
        ("more.jsonl:2", "not a cut of one recording"),
        ("more.jsonl:3", "no transcript"),
        ("more.jsonl:4", "audio is no single file"),
        ("more.jsonl:5", "no transcript"),
        ("more.jsonl:6", "cut cannot be understood"),
        ("more.jsonl:7", "segment has no duration"),
        ("more.jsonl:8", "line is not JSON"),
    ]
