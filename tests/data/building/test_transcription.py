"""Podcasts become clips with texts by a real detector and a real recogniser."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import soundfile

from gsv2.audio.speech_cut import CutConfig
from gsv2.data.building.build import build_corpus
from gsv2.data.building.offered import LeftOutError, Recording
from gsv2.data.building.readers.reader import ReadingOptions
from gsv2.data.building.transcription import Transcription
from gsv2.data.config import SourceConfig
from gsv2.data.corpus.index import CorpusIndex
from gsv2.evaluation.judge_names import NamedRecognizer
from gsv2.quickstart.espeak import SAMPLE_RATE, EspeakVoice, speak

SENTENCES = ("the old man was here", "she has seven red books")


def test_a_recording_of_two_sentences_is_two_clips_that_say_them(tmp_path):
    pytest.importorskip("silero_vad")
    pytest.importorskip("pocketsphinx")
    voice = EspeakVoice(variant="m1")
    said = [speak(text, "en-us", voice) for text in SENTENCES]
    pause = np.zeros(2 * SAMPLE_RATE, dtype=np.float32)
    wave = np.concatenate([pause, said[0], pause, said[1], pause])
    (tmp_path / "in" / "anna").mkdir(parents=True)
    noise = 1e-3 * np.random.default_rng(0).standard_normal(len(wave))
    soundfile.write(tmp_path / "in" / "anna" / "talk.flac", wave + noise, SAMPLE_RATE)
    reading = ReadingOptions(
        reader="pairs",
        language="en",
        transcription=Transcription(
            source=NamedRecognizer("pocketsphinx"), cut=CutConfig(min_sec=0.5)
        ),
    )
    manifest = build_corpus(tmp_path / "in", tmp_path / "c", reading=reading)
    assert manifest.num_clips == 2
    index = CorpusIndex.open(SourceConfig(path=str(tmp_path / "c")))
    seconds = index.numbers("duration_sec")
    lengths = [len(spoken) / SAMPLE_RATE for spoken in said]
    assert sorted(seconds) == pytest.approx(sorted(lengths), abs=0.6)
    assert set(index.strings("speaker").to_pylist()) == {"anna"}
    assert min(index.numbers("text_bytes")) > 5


def test_what_is_not_heard_says_so_by_the_recogniser():
    pytest.importorskip("pocketsphinx")
    by_name = Transcription(source=NamedRecognizer("pocketsphinx"))
    assert pickle.loads(pickle.dumps(by_name)) == by_name
    assert by_name.identity.startswith("pocketsphinx")
    recording = Recording(
        key="a", name="a", place="a", audio=Path("a.wav"), text=None, language="fr"
    )
    with pytest.raises(LeftOutError, match="fr, by pocketsphinx"):
        by_name.write_down(recording, np.zeros(32_000, np.float32))
    missing = Transcription(source=NamedRecognizer("parrot"))
    with pytest.raises(ValueError, match="a recogniser must be"):
        _ = missing.identity
