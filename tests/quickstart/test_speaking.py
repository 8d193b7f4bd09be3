"""Figures of speaking, by a bundle that has learned nothing."""

import numpy as np
import pytest

from gsv2.evaluation.sentence import Sentence
from gsv2.inference.references import Reference
from gsv2.quickstart import speaking
from gsv2.quickstart.speaking import measure_speaking
from gsv2.serve.loopback import serve_on_loopback
from tests.support.tiny_corpus import synthetic_wave

PITCHES = {"f1": 220.0, "m1": 110.0}


def said(speaker: str, language: str = "en") -> Sentence:
    wave = synthetic_wave(1.5, PITCHES[speaker], np.random.default_rng(0))
    prompts = (Reference(wave=wave, text="one two"),)
    return Sentence(
        key=speaker, text="one", speaker=speaker, prompts=prompts, language=language, recording=wave
    )


@pytest.fixture
def heldout(monkeypatch, tmp_path):
    """Says which sentences a held-out corpus has."""

    def hold(*sentences: Sentence):
        monkeypatch.setattr(speaking, "HeldOutSentences", lambda source, count: list(sentences))
        return tmp_path

    monkeypatch.setattr(speaking, "_LONG", "One two three.")
    monkeypatch.setattr(speaking, "_FUSED", ("One.",))
    return hold


def test_two_voices_are_mixed_and_the_server_is_timed(tiny_bundle, heldout):
    corpus = heldout(said("f1", "ko"), said("f1"), said("m1"))
    found = measure_speaking(tiny_bundle, corpus, 3, serve_on_loopback)
    assert found.voices == ("f1", "m1")
    assert [point.weight for point in found.fusion] == [0, 0.25, 0.5, 0.75, 1]
    assert all(abs(p.like_first) <= 1.001 and abs(p.like_second) <= 1.001 for p in found.fusion)
    assert found.fusion[0] != found.fusion[-1]
    assert found.audio_sec > 0
    assert found.first_sec > 0
    assert 0 < found.first_byte_sec <= found.answer_sec


def test_without_two_english_voices_there_are_no_figures(tiny_bundle, heldout):
    assert measure_speaking(tiny_bundle, heldout(said("f1"), said("m1", "ko")), 3) is None
