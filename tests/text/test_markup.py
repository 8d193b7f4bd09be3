import pytest

from gsv2.text.markup import MarkupError, ScriptPart, parse_script
from gsv2.text.normalize import TextError


def ssml(inner: str) -> str:
    return f'<speak version="1.1" xml:lang="en">{inner}</speak>'


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("Hello.", [("Hello.", None, 1.0)]),
        ("One. [pause 0.5s] Two.", [("One. ", None, 1.0), (" Two.", 0.5, 1.0)]),
        ("[Pause 250ms]One[pause 1s]", [("One", 0.25, 1.0), ("", 1.0, 1.0)]),
        ("One[pause 1s][pause 1s]two", [("One", None, 1.0), ("two", 2.0, 1.0)]),
        ("One.\n\nTwo.", [("One.", None, 1.0), ("Two.", 0.6, 1.0)]),
        ("a < b & [x]", [("a < b & [x]", None, 1.0)]),
        (ssml("a &amp; b"), [("a & b", None, 1.0)]),
        (ssml('One<break time="500ms"/>two'), [("One", None, 1.0), ("two", 0.5, 1.0)]),
        (
            ssml('a <prosody rate="50%">b <prosody rate="fast">c</prosody></prosody> d'),
            [("a ", None, 1.0), ("b ", None, 0.5), ("c", None, 0.625), (" d", None, 1.0)],
        ),
        (ssml('the <sub alias="World Wide Web">WWW</sub>.'), [("the World Wide Web.", None, 1.0)]),
    ],
)
def test_markup_becomes_parts_with_pauses_and_rates(text, parts):
    assert parse_script(text) == [ScriptPart(*part) for part in parts]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("One [pause] two", r"\[pause\] must have a time like"),
        ("One [pause soon] two", "has ' soon'"),
        ("One [pause 1e9s] two", "must have a time"),
        ("One [pause 61s] two", "at most 60 s in all, but are 61 s"),
        ("[pause 31s]a[pause 31s]", "at most 60 s in all"),
        (ssml("<emphasis>a</emphasis>"), "element 'emphasis' is not followed"),
        (ssml('<prosody pitch="high">a</prosody>'), "attribute 'pitch' of prosody"),
        (ssml("<prosody>a</prosody>"), "prosody must have the attribute rate"),
        (ssml('<prosody rate="9%">a</prosody>'), "25% to 400%"),
        (ssml('<prosody rate="quick">a</prosody>'), "but is 'quick'"),
        (ssml('a<break strength="weak"/>'), "attribute 'strength' of break"),
        (ssml('<sub alias="a"><sub alias="b">c</sub></sub>'), "sub may hold no element"),
        ("<speak>a", "SSML cannot be read"),
        ("<speak>a</speak><speak>b</speak>", "SSML cannot be read"),
        (ssml("<speak>a</speak>"), "one element speak"),
        (
            '<?xml version="1.0"?><!DOCTYPE s [<!ENTITY a "b">]><speak>&a;</speak>',
            "no document type",
        ),
    ],
)
def test_markup_that_cannot_be_followed_is_named(text, message):
    with pytest.raises(MarkupError, match=message):
        parse_script(text)


@pytest.mark.parametrize("text", ["", "[pause 1s]", ssml('<break time="1s"/>'), "...\n\n?!"])
def test_a_script_without_speech_is_an_error(text):
    with pytest.raises(TextError, match="at least one letter or digit"):
        parse_script(text)
