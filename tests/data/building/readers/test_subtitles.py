"""Subtitles: cues of recordings."""

from __future__ import annotations

from gsv2.data.building.encode import Rejected
from tests.support.offered_clips import offered, reasons
from tests.support.said import put, put_long

SRT = """1
00:00:00,000 --> 00:00:00,600
<b>He</b> said {\\an8}&amp; left
2
00:00:00,700 --> 00:00:01,300
- [door closes]

3
00:00:01,4 --> 00:00:02,000
Rolling
4
00:00:02,000 --> 00:00:02,700
Rolling
on

5
0:00:02 --> 00:00:03
No.

6
00:00:02,900 --> 00:00:02,800
Back.
"""


def test_cues_of_subtitles_are_cleaned_and_those_that_are_no_speech_are_named(tmp_path):
    put_long(tmp_path / "a.ogg", "OGG")
    put(tmp_path / "a.srt", SRT.replace("\n", "\r\n"))
    clips = offered(tmp_path, "subtitles", language="en")
    good = [clip for clip in clips if not isinstance(clip, Rejected)]
    assert [clip.text for clip in good] == ["He said & left", "Rolling", "on"]
    assert sorted(reasons(clips)) == [
        ("a.srt:17", "times of the segment cannot be read"),
        ("a.srt:21", "segment has no duration"),
        ("a.srt:5", "cue names a sound, no speech"),
    ]


def test_the_language_of_subtitles_is_in_their_name(tmp_path):
    put_long(tmp_path / "a.wav", "WAV")
    for label in ("de", "fr"):
        put(tmp_path / f"a.{label}.srt", f"1\n00:00:00,000 --> 00:00:00,600\nIn {label}.\n")
    assert [c.text for c in offered(tmp_path, "subtitles") if not isinstance(c, Rejected)] == [
        "In de."
    ]
    (french, other) = offered(tmp_path, "subtitles", language="fr")
    assert (french.text, french.language) == ("In fr.", "fr")
    assert "another language" in other.reason
