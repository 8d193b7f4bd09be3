import unicodedata
from string import Formatter

import pytest

from gsv2.quickstart.espeak import EspeakVoice, speak
from gsv2.quickstart.grammars import GRAMMARS
from gsv2.quickstart.sentences import sentences

SCRIPT_WORDS = {
    "Latn": ("LATIN",),
    "Cyrl": ("CYRILLIC",),
    "Grek": ("GREEK",),
    "Arab": ("ARABIC",),
    "Deva": ("DEVANAGARI",),
    "Hang": ("HANGUL",),
    "Hira": ("HIRAGANA", "KATAKANA-HIRAGANA"),
    "Hani": ("CJK",),
}


@pytest.fixture(params=GRAMMARS, ids=lambda grammar: grammar.language)
def grammar(request):
    return request.param


def test_there_are_six_languages_in_five_scripts():
    assert len({grammar.language for grammar in GRAMMARS}) >= 6
    assert len({grammar.script for grammar in GRAMMARS}) >= 5


def test_every_letter_belongs_to_the_script(grammar):
    letters = {c for pool in sentences(grammar) for s in pool for c in s.text if c.isalpha()}
    assert all(unicodedata.name(c).startswith(SCRIPT_WORDS[grammar.script]) for c in letters)


def test_sentences_are_normalised_distinct_and_hundreds(grammar):
    texts = [s.text for pool in sentences(grammar) for s in pool]
    assert len(set(texts)) == len(texts) >= 250
    assert all(unicodedata.is_normalized("NFC", text) for text in texts)


def test_sentences_are_short(grammar):
    assert max(len(s.text.encode()) for pool in sentences(grammar) for s in pool) <= 72


def test_templates_use_every_slot_and_none_twice(grammar):
    used = [[n for _, n, _, _ in Formatter().parse(t) if n] for t in grammar.templates]
    assert all(len(set(names)) == len(names) for names in used)
    assert {name for names in used for name in names} == set(grammar.slots)


def test_espeak_speaks_every_template(grammar):
    for pool in sentences(grammar):
        wave = speak(pool[0].text, grammar.espeak, EspeakVoice(variant="f1"))
        assert len(wave) > 22_050  # a second: espeak-ng spells nothing out and drops nothing
