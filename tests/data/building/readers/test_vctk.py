"""VCTK: two microphones, and text in a folder of its own."""

from __future__ import annotations

from pathlib import Path

from gsv2.data.building.encode import Rejected
from gsv2.data.building.readers.choice import choose_reader
from gsv2.data.building.readers.reader import ReadingOptions
from tests.support.layouts import LAYOUTS
from tests.support.offered_clips import offered
from tests.support.said import put


def test_files_that_are_not_read_are_named(tmp_path):
    LAYOUTS["vctk"].write(tmp_path / "v")
    put(tmp_path / "v" / "txt" / "anna" / "anna_0009.txt", "Hi.")
    put(tmp_path / "v" / "wav48_silence_trimmed" / "anna" / "anna_0008_mic2.flac", b"")
    named = {
        Path(c.file).name: c.reason
        for c in offered(tmp_path / "v", "vctk")
        if isinstance(c, Rejected)
    }
    assert named.pop("anna_0009.txt") == "left alone: no recording of this name"
    assert named.pop("anna_0008_mic2.flac") == "no transcript"
    assert set(named.values()) == {"left alone: the other microphone is read"}
    other = choose_reader(tmp_path / "v", "vctk").reader.recordings(
        tmp_path / "v", ReadingOptions(columns={"audio": "mic2"})
    )
    assert sum(str(r.audio).endswith("mic2.flac") for r in other if hasattr(r, "audio")) == 5
