"""Folders LANGUAGE/SPEAKER/NAME: every file is read, or named."""

from __future__ import annotations

import pytest
import soundfile

from gsv2.audio.wave import save_wave
from gsv2.data.building.encode import ClipRecord, Rejected
from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.data.corpus.manifest import CorpusError
from tests.support.offered_clips import folder_recordings, load_recordings
from tests.support.recordings_folder import TONE, write_recordings


@pytest.fixture
def folder(tmp_path):
    return write_recordings(tmp_path)


def test_a_folder_names_language_and_speaker(folder):
    recordings = {r.key: r for r in folder_recordings(folder)}
    assert set(recordings) == {"en/ann/one", "en/ann/two", "zh/bo/one", "zh/bo/damaged"}
    one = recordings["zh/bo/one"]
    assert (one.language, one.speaker, one.text.name) == ("zh", "bo", "one.txt")
    assert recordings["en/ann/two"].text is None


def test_a_language_for_all_needs_no_folder(folder):
    assert {r.language for r in folder_recordings(folder / "en", language="EN")} == {"en"}
    with pytest.raises(CorpusError, match="--language"):
        list(folder_recordings(folder / "en"))
    with pytest.raises(CorpusError, match="does not exist"):
        list(folder_recordings(folder / "fr"))


def test_every_file_is_read_rejected_by_name_or_left_alone_with_the_reason(tmp_path):
    root = tmp_path / "en" / "ann"
    root.mkdir(parents=True)
    for name, kind in (("a.aiff", "AIFF"), ("b.W64", "W64"), ("c.sph", "NIST"), ("d.oga", "OGG")):
        soundfile.write(root / name, TONE, SAMPLE_RATE, format=kind)
        (root / name).with_suffix(".TXT").write_text("hi")
    soundfile.write(root / "e.strange", TONE, SAMPLE_RATE, format="AU")
    for name in ("e.txt", "f.txt", "g.m4a", "g.txt", "a.TextGrid", "._a.aiff", "alone.txt"):
        (root / name).write_text("hi")
    for name in ("f.wav", "tagged.wav", "tagged.normalized.txt"):
        (root / name).write_text("")
    (root / "deep").symlink_to(tmp_path)
    clips = list(load_recordings(folder_recordings(tmp_path)))
    assert [clip.key[-1] for clip in clips if isinstance(clip, ClipRecord)] == list("abcde")
    said = {clip.file.split("/")[-1]: clip for clip in clips if isinstance(clip, Rejected)}
    assert {name: clip.reason for name, clip in said.items()} == {
        "f.wav": "audio file is empty",
        "g.m4a": "cannot be decoded here: convert to WAV or FLAC",
        "tagged.wav": "no transcript",
        "a.TextGrid": "left alone: no suffix of an audio file",
        "._a.aiff": "left alone: hidden file",
        "deep": "left alone: link to a folder, which is not followed",
        "alone.txt": "left alone: no recording of this name",
        "tagged.normalized.txt": "left alone: no recording of this name",
    }
    assert "tagged.normalized.txt" in said["tagged.wav"].value


def test_the_first_folder_is_the_language_and_the_second_the_speaker(tmp_path):
    for name in ("EN/anna/day1/a.wav", "zh_CN/bo/a.wav"):
        (tmp_path / name).parent.mkdir(parents=True)
        save_wave(tmp_path / name, TONE, SAMPLE_RATE)
    found = [(r.language, r.speaker) for r in folder_recordings(tmp_path)]
    assert found == [("en", "anna"), ("zh-CN", "bo")]
    assert [r.speaker for r in folder_recordings(tmp_path / "EN", language="en")] == ["anna"]
    with pytest.raises(CorpusError, match=r"'anna'; .*LANGUAGE/SPEAKER"):
        list(folder_recordings(tmp_path / "EN"))
