"""TextGrids: tiers of sentences beside recordings."""

from __future__ import annotations

import numpy as np

from gsv2.data.building.encode import Rejected
from gsv2.data.corpus.format import SAMPLE_RATE
from tests.support.offered_clips import offered, reasons
from tests.support.said import SAID, audio_bytes, put, put_long, tone_of

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
