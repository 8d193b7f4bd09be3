"""Word and character errors, counted by hand."""

import pytest

from gsv2.evaluation.spoken_errors import count_spoken_errors, spoken_form


@pytest.mark.parametrize(
    ("text", "heard", "language", "words", "characters"),
    [
        ("The cat sat.", "the cat sat", "en", (0, 3), (0, 11)),
        ("The cat sat.", "the bat sat", "en", (1, 3), (1, 11)),  # a substitution
        ("The cat sat.", "the sat", "en", (1, 3), (4, 11)),  # a deletion
        ("The cat sat.", "the cat sat down", "en", (1, 3), (5, 11)),  # an insertion
        ("The cat sat.", "", "en", (3, 3), (11, 11)),
        ("Ja.", "a b c d", "de", (4, 1), (7, 2)),  # more errors than words
        ("今天是好天气。", "今天 天气", "zh", (2, 6), (2, 6)),
        ("今天是好天气。", "今天 天气", "zh-TW", (2, 6), (2, 6)),
    ],
)
def test_errors_are_those_that_a_hand_counts(text, heard, language, words, characters):
    errors = count_spoken_errors(text, heard, language)
    assert errors.words == words
    assert errors.characters == characters


def test_case_punctuation_and_composition_are_not_heard():
    assert spoken_form("Cafe\u0301, “Über”!", "fr") == "café über"
    assert spoken_form("हिन्दी।", "hi") == "हिन्दी"  # marks stay
    assert spoken_form("今天, 3 点。", "zh") == "今天3点"


def test_corpora_agree_with_jiwer():
    jiwer = pytest.importorskip("jiwer")
    pairs = [
        ("the red train is late today", "a red crane is late"),
        ("omar has five blue hats", "omar has has five new hats"),
        ("it will be windy", "windy"),
    ]
    found = [count_spoken_errors(*pair, "en") for pair in pairs]
    texts, heard = map(list, zip(*pairs, strict=True))
    for kind, expected in (("words", jiwer.wer), ("characters", jiwer.cer)):
        sums = [getattr(errors, kind) for errors in found]
        ratio = sum(s.numerator for s in sums) / sum(s.denominator for s in sums)
        assert ratio == pytest.approx(expected(texts, heard))
