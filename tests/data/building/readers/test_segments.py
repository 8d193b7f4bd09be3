"""Segments of one recording, whoever says them."""

from __future__ import annotations

from gsv2.data.building.encode import Rejected
from tests.support.offered_clips import offered, reasons
from tests.support.said import put, put_long


def test_segments_that_share_sound_are_left_out_both(tmp_path):
    put_long(tmp_path / "a.wav", "WAV")
    times = [("00.000", "00.900"), ("00.500", "01.200"), ("01.150", "02.000")]
    cues = [f"00:{start} --> 00:{end}\nWord {start}\n" for start, end in times]
    put(tmp_path / "a.vtt", "WEBVTT\n\n" + "\n".join(cues))
    clips = offered(tmp_path, "subtitles", language="en")
    assert [clip.text for clip in clips if not isinstance(clip, Rejected)] == ["Word 01.150"]
    assert {reason for _, reason in reasons(clips)} == {"segment overlaps another"}
    assert "0.40 s are in another segment" in clips[0].value
