"""What was offered before is known by name, size and time of its file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gsv2.data.building.inputs import check_apart, new_inputs
from gsv2.data.building.journal import MARK_BYTES, recording_mark
from gsv2.data.building.offered import Recording, left_out
from gsv2.data.corpus.manifest import CorpusError


def recording(path: Path) -> Recording:
    return Recording(key="a", name="a", place="a", audio=path, text="hi", language="en")


def test_what_is_known_is_passed_over_and_what_is_new_is_noted(tmp_path):
    audio = tmp_path / "a.wav"
    audio.write_bytes(b"one")
    listed = [recording(audio), left_out("b.jpg", "left alone", "")]
    marks = tmp_path / "marks"
    assert list(new_inputs(listed, (), marks)) == listed
    known = {marks.read_bytes()[:MARK_BYTES], marks.read_bytes()[MARK_BYTES:]}
    assert list(new_inputs(listed, known, None)) == []
    audio.write_bytes(b"three")
    assert list(new_inputs(listed, known, marks)) == listed[:1]
    assert len(marks.read_bytes()) == MARK_BYTES


def test_the_time_of_a_file_counts_as_its_size_does(tmp_path):
    audio = tmp_path / "a.wav"
    audio.write_bytes(b"one")
    before = recording_mark(recording(audio))
    assert recording_mark(recording(audio)) == before
    os.utime(audio, (1, 1))
    assert recording_mark(recording(audio)) != before


def test_a_corpus_does_not_lie_in_its_input(tmp_path):
    (tmp_path / "in").mkdir()
    for out in (tmp_path / "in", tmp_path / "in" / "corpus", tmp_path / "a" / ".." / "in" / "c"):
        with pytest.raises(CorpusError, match="must not lie in its input"):
            check_apart(tmp_path / "in", out)
    check_apart(tmp_path / "in", tmp_path / "in2")
    check_apart(tmp_path / "list.jsonl", tmp_path / "corpus")
