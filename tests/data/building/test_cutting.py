"""Recordings without a text are cut where nobody speaks, and each of their clips has its sound."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile

from gsv2.audio.segment import Span
from gsv2.audio.speech_cut import CutConfig
from gsv2.audio.voice_activity import FRAME_SEC
from gsv2.data.building import cutting
from gsv2.data.building.build import build_corpus, encode_share
from gsv2.data.building.cutting import Cuts
from gsv2.data.building.readers.reader import ReadingOptions
from gsv2.data.building.tasks import Task
from gsv2.data.building.transcription import Transcription
from gsv2.data.config import SourceConfig
from gsv2.data.corpus.index import CorpusIndex
from tests.support.said import put, tone_of

RATE = 16_000
TONES = (300.0, 500.0, 700.0)


class LoudIsSpeech:
    """Stands in for the detector: what is loud is speech."""

    def probabilities(self, pieces) -> np.ndarray:
        wave = np.concatenate(list(pieces))
        size = round(FRAME_SEC * RATE)
        count = len(wave) // size
        return (np.abs(wave[: count * size]).reshape(count, size).max(axis=1) > 0.05).astype(float)


@dataclass(frozen=True)
class HearsTones:
    """A recogniser that names the tone it hears."""

    identity: str = "tones"

    def load(self) -> HearsTones:
        return self

    def supports(self, language: str) -> bool:
        return language == "en"

    def transcribe(self, wave: np.ndarray, language: str) -> str:
        tone = round(tone_of(wave, 32_000) / 100)
        return "" if tone == 7 else f"this is the tone of number {tone}"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recording of three tones with pauses, one of silence, one that has a text."""
    monkeypatch.setattr(cutting, "_activity", LoudIsSpeech)
    root = tmp_path / "in"
    time = np.arange(3 * RATE) / RATE
    pause = np.zeros(2 * RATE)
    tones = [part for hz in TONES for part in (0.2 * np.sin(2 * np.pi * hz * time), pause)]
    for name, wave in {"long": np.concatenate(tones), "mute": pause, "short": tones[0]}.items():
        path = root / "en" / "anna" / f"{name}.flac"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, wave, RATE)
    put(root / "en" / "anna" / "short.txt", "Somebody wrote this down.")
    put(root / "en" / "anna" / "broken.wav", b"this is no sound")
    path = root / "fr" / "eve" / "autre.flac"
    path.parent.mkdir(parents=True)
    soundfile.write(path, tones[0], RATE)
    return root


READING = ReadingOptions(
    reader="folder",
    transcription=Transcription(source=HearsTones(), cut=CutConfig(max_sec=5.0, keep_sec=0.25)),
)


def test_clips_have_their_sound_and_the_text_that_was_heard(folder, tmp_path):
    manifest = build_corpus(folder, tmp_path / "c", reading=READING)
    index = CorpusIndex.open(SourceConfig(path=str(tmp_path / "c")))
    seconds = dict(
        zip(index.strings("key").to_pylist(), index.numbers("duration_sec"), strict=True)
    )
    assert len(seconds) == 3
    cut = sorted(key for key in seconds if "long" in key)
    assert [key.split("-")[1] for key in cut] == ["00000000", "00004742"]
    assert all(seconds[key] == pytest.approx(3.4, abs=0.2) for key in cut)
    assert manifest.rejected == {
        "audio cannot be read": 1,
        "language is not known to the recogniser": 1,
        "no speech in the audio": 1,
        "nothing was recognised": 1,
    }
    assert manifest.build["offered"] == 3 + 4
    named = map(json.loads, (tmp_path / "c" / "rejected.jsonl").read_text().splitlines())
    assert all(line["value"] for line in named)


def test_tasks_cut_and_write_down_what_one_process_does(folder, tmp_path, monkeypatch):
    build_corpus(folder, tmp_path / "c", reading=READING)
    for number in (1, 2):
        encode_share(folder, tmp_path / "d", Task(number, 2), reading=READING)
    monkeypatch.setattr(cutting, "_activity", lambda: None)  # nothing is looked at again
    build_corpus(folder, tmp_path / "d", reading=READING)
    files = [
        {p.relative_to(out): p.read_bytes() for p in out.rglob("*") if p.is_file()}
        for out in (tmp_path / "c", tmp_path / "d")
    ]
    assert files[0] == files[1]


def test_what_a_kill_left_of_a_line_is_passed_over(tmp_path):
    cuts = Cuts(tmp_path / "cuts")
    cuts.add("a", (Span(0.0, 1.5),))
    with (tmp_path / "cuts").open("ab") as file:
        file.write(b'\n["b", [[0')
    again = Cuts(tmp_path / "cuts")
    again.add("c", ())
    last = Cuts(tmp_path / "own", [tmp_path / "cuts"])
    assert (last.get("a"), last.get("b"), last.get("c")) == ((Span(0.0, 1.5),), None, ())
