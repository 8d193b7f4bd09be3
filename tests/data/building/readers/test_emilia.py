"""Emilia: JSON beside audio, and JSON lines."""

from __future__ import annotations

import json
from pathlib import Path

from gsv2.data.building.encode import Rejected
from gsv2.data.building.readers.choice import choose_reader
from tests.support.dataset_layouts import emilia_fields
from tests.support.layouts import LAYOUTS
from tests.support.offered_clips import offered
from tests.support.said import SAID, audio_bytes, put


def emilia_line(**changes: object) -> bytes:
    return json.dumps({**emilia_fields(SAID[0]), **changes}).encode()


def test_faults_of_json_beside_audio_are_named(tmp_path):
    LAYOUTS["emilia"].write(tmp_path)
    folder = tmp_path / "EN" / "EN_B0"
    for stem, content in {
        "cut": b'{"text": ',
        "list": b"[1]",
        "mute": emilia_line(text=" "),
        "latin": b'{"text": "\xe9"}',
        "tongue": emilia_line(language="anna"),
    }.items():
        put(folder / f"{stem}.json", content)
        put(folder / f"{stem}.mp3", audio_bytes(SAID[0], "MP3", 32_000))
    put(folder / "alone.json", emilia_line())
    put(folder / "silent.mp3", audio_bytes(SAID[0], "MP3", 32_000))
    put(tmp_path / "x.tar.gz", b"")
    named = {
        Path(clip.file).name: clip.reason
        for clip in offered(tmp_path, "emilia")
        if isinstance(clip, Rejected)
    }
    assert named == {
        "cut.json": "JSON cannot be read",
        "list.json": "JSON is no object",
        "mute.json": "no transcript",
        "latin.json": "JSON cannot be read",
        "tongue.json": "language is no BCP 47 tag",
        "alone.json": "left alone: no recording of this name",
        "silent.mp3": "left alone: no row names it",
        "x.tar.gz": "left alone: compressed tars cannot be read by offset: decompress them",
    }


def test_json_lines_of_emilia_name_audio_below_their_folder(tmp_path):
    put(tmp_path / "EN" / "x" / "EN_0001.mp3", audio_bytes(SAID[0], "MP3", 32_000))
    lines = [emilia_line(), emilia_line(wav=None), emilia_line(wav="x/none.mp3"), b"{"]
    put(tmp_path / "EN" / "EN_B0.jsonl", b"\n".join(lines))
    clips = offered(tmp_path, "emilia")
    assert [getattr(clip, "reason", clip.key) for clip in clips] == [
        "EN_0001", "row names no audio", "audio file does not exist", "JSON cannot be read"
    ]  # fmt: skip
    assert choose_reader(tmp_path).reader.name == "emilia"
