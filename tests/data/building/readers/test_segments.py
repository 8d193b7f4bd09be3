"""Segments that files beside long recordings say: TextGrids, subtitles, cuts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from gsv2.data.building.encode import Rejected
from gsv2.data.corpus.format import SAMPLE_RATE
from tests.data.building.readers.test_reader import offered
from tests.support.layouts import LAYOUTS, RATE, SAID, audio_bytes, put, put_long, tone_of

SHORT = """File type = "ooTextFile"
Object class = "TextGrid"

0
2.8
<exists>
4
"TextTier"
"clicks"
0
2.8
1
0.5
"a [1]"
"IntervalTier"
"words"
0
2.8
1
0
2.8
"he"
"IntervalTier"
"talk"
0
2.8
4
0
0.6
"He said ""no"" [2]."
0.6
0.7
"sp"
0.7
0.7
"Nothing."
2.5
3.9
"Too late."
"IntervalTier"
"phones"
0
2.8
0
"""


def reasons(clips: list) -> list[tuple[str, str]]:
    return [(Path(clip.file).name, clip.reason) for clip in clips if isinstance(clip, Rejected)]


def test_a_short_textgrid_gives_the_tier_of_sentences_alone(tmp_path):
    put_long(tmp_path / "anna" / "a.flac")
    put(tmp_path / "anna" / "a.TextGrid", SHORT)
    put(tmp_path / "anna" / "b.wav", audio_bytes(SAID[0]))
    put(tmp_path / "anna" / "c.TextGrid", SHORT)
    put(tmp_path / "d.wav", audio_bytes(SAID[0]))
    put(tmp_path / "d.TextGrid", "ooBinaryFile")
    put(tmp_path / "e.wav", audio_bytes(SAID[0]))
    put(tmp_path / "e.TextGrid", SHORT[: SHORT.index("IntervalTier") + 30])
    clips = offered(tmp_path, "textgrid", language="en")
    (good,) = (clip for clip in clips if not isinstance(clip, Rejected))
    assert (good.text, good.speaker) == ('He said "no" [2].', "anna")
    assert good.file == f"{tmp_path / 'anna' / 'a.TextGrid'}:28"
    assert tone_of(good.wave, SAMPLE_RATE) == np.float64(SAID[0].tone_hz).round()
    assert sorted(reasons(clips)) == [
        ("a.TextGrid:34", "segment has no duration"),
        ("a.TextGrid:37", "segment is not inside the audio"),
        ("b.wav", "no transcript"),
        ("c.TextGrid", "left alone: no recording of this name, or another language of it is read"),
        ("d.TextGrid", "not a TextGrid in text form"),
        ("e.TextGrid", "TextGrid cannot be read"),
    ]
    words = offered(tmp_path, "textgrid", language="en", columns={"text": "words"})
    assert "he" in [clip.text for clip in words if not isinstance(clip, Rejected)]


def test_a_textgrid_of_words_alone_asks_for_its_tier(tmp_path):
    put(tmp_path / "a.wav", audio_bytes(SAID[0]))
    put(tmp_path / "a.TextGrid", SHORT.replace('"talk"', '"anna - words"'))
    (clip,) = offered(tmp_path, "textgrid", language="en")
    assert clip.reason == "no tier of sentences"
    assert "words, anna - words, phones; name one with --column text=TIER" in clip.value


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


def test_segments_that_share_sound_are_left_out_both(tmp_path):
    put_long(tmp_path / "a.wav", "WAV")
    times = [("00.000", "00.900"), ("00.500", "01.200"), ("01.150", "02.000")]
    cues = [f"00:{start} --> 00:{end}\nWord {start}\n" for start, end in times]
    put(tmp_path / "a.vtt", "WEBVTT\n\n" + "\n".join(cues))
    clips = offered(tmp_path, "subtitles", language="en")
    assert [clip.text for clip in clips if not isinstance(clip, Rejected)] == ["Word 01.150"]
    assert {reason for _, reason in reasons(clips)} == {"segment overlaps another"}
    assert "0.40 s are in another segment" in clips[0].value


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


def test_cuts_that_cannot_be_read_from_one_file_are_named(tmp_path):
    LAYOUTS["lhotse"].write(tmp_path)
    stereo = np.stack([np.zeros(RATE), np.sin(np.arange(RATE) / 5)], axis=1) * 0.3
    import soundfile

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
