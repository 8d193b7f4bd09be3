"""PocketSphinx on sentences that espeak-ng speaks."""

import sys

import numpy as np
import pytest

from gsv2.audio.wave import resample
from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.evaluation.grammar import template_grammar
from gsv2.evaluation.judges import JudgeMissingError
from gsv2.evaluation.pocketsphinx_recognizer import PocketSphinx, pronounceable
from gsv2.quickstart import espeak
from gsv2.quickstart.demo_voices import HELDOUT_VOICES
from gsv2.quickstart.grammars import ENGLISH

TEXTS = ("Mina has seven yellow lamps.", "Omar will come tomorrow at six.")


def installed():
    pytest.importorskip("pocketsphinx")


@pytest.fixture(scope="module")
def waves():
    spoken = [espeak.speak(text, "en-us", HELDOUT_VOICES[0], seed=0) for text in TEXTS]
    return [resample(wave, espeak.SAMPLE_RATE, SAMPLE_RATE) for wave in spoken]


def test_a_closed_grammar_is_heard_word_by_word_whatever_was_heard_before(waves):
    installed()
    recognizer = PocketSphinx(template_grammar(ENGLISH.templates, ENGLISH.slots))
    assert recognizer.name == "pocketsphinx-grammar"
    expected = [text.lower().rstrip(".") for text in TEXTS]
    assert [recognizer.transcribe(wave, "en") for wave in waves] == expected
    assert [recognizer.transcribe(wave, "en") for wave in waves[::-1]] == expected[::-1]


def test_open_english_has_words_of_its_own(waves):
    installed()
    recognizer = PocketSphinx()
    assert recognizer.name == recognizer.identity == "pocketsphinx"
    heard = recognizer.transcribe(waves[0], "en")
    assert heard
    assert set(heard) <= set("abcdefghijklmnopqrstuvwxyz'() 0123456789")


def test_it_hears_english_alone_and_nothing_in_silence():
    installed()
    recognizer = PocketSphinx(template_grammar(["yes", "no"], {}), "answers")
    assert [recognizer.supports(tag) for tag in ("en", "en-GB", "de", "und")] == [
        True,
        True,
        False,
        False,
    ]
    assert recognizer.name == "answers"
    assert isinstance(recognizer.transcribe(np.zeros(1, dtype=np.float32), "en"), str)


def test_another_grammar_is_another_identity():
    installed()
    grammars = [template_grammar(words, {}) for words in (["yes", "no"], ["yes"])]
    assert PocketSphinx(grammars[0]).identity != PocketSphinx(grammars[1]).identity


def test_words_without_a_pronunciation_and_broken_grammars_are_refused():
    installed()
    assert pronounceable(["anna", "xyzzyx"]) == (["anna"], ["xyzzyx"])
    with pytest.raises(ValueError, match="dictionary, but not there are: xyzzyx"):
        PocketSphinx(template_grammar(["hello xyzzyx"], {}))
    with pytest.raises(ValueError, match="cannot be read as JSGF"):
        PocketSphinx("#JSGF V1.0;\ngrammar s;\npublic <a> = (hello;\n")


def test_without_the_package_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    with pytest.raises(JudgeMissingError, match=r"pip install 'gsv2\[judges\]'"):
        PocketSphinx()
