"""LibriTTS: normalized text beside audio."""

from __future__ import annotations

from pathlib import Path

from gsv2.data.building.encode import Rejected
from tests.support.layouts import LAYOUTS
from tests.support.offered_clips import offered
from tests.support.said import SAID, audio_bytes, put


def test_files_that_are_not_read_are_named(tmp_path):
    LAYOUTS["libritts"].write(tmp_path / "l")
    chapter = tmp_path / "l" / "train-clean" / "103" / "7"
    put(chapter / "103_7.trans.tsv", "")
    put(chapter / "103_7_none_000000.normalized.txt", "Hi.")
    put(chapter / "103_7_0009_000000.wav", audio_bytes(SAID[0]))
    named = {
        Path(c.file).name: c for c in offered(tmp_path / "l", "libritts") if isinstance(c, Rejected)
    }
    assert named.pop("103_7_0009_000000.wav").value == "no file 103_7_0009_000000.normalized.txt"
    assert named["103_7.trans.tsv"].reason == "left alone: no suffix of an audio file"
    assert named["103_7_none_000000.normalized.txt"].reason.endswith("no recording of this name")
    assert sum("normalized text is read" in clip.reason for clip in named.values()) == len(SAID)
    original = offered(tmp_path / "l", "libritts", columns={"text": "original"})
    assert {c.text for c in original if not isinstance(c, Rejected)} == {"Other."}
