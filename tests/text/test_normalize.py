import random
import unicodedata

import pytest

from gsv2.text.normalize import TextError, is_speakable, normalize_text, split_sentences

STORY = (
    "Hello there. It costs 3.5 euros, not 4! “Really?” she asked… "
    "你好。今天天气很好！你呢？ नमस्ते। आप कैसे हैं? هل أنت بخير؟ نعم۔ Ναι. Да."
)


def by_definition(text: str) -> str:
    """NFC; whitespace, byte order marks, Cc and Cs are blanks: character by character."""
    blank = [
        " " if c.isspace() or c == "\ufeff" or unicodedata.category(c) in ("Cc", "Cs") else c
        for c in unicodedata.normalize("NFC", text)
    ]
    return " ".join("".join(blank).split())


def squeeze(text: str) -> str:
    return "".join(text.split())


def test_decomposed_letters_become_composed_ones():
    assert normalize_text("u\u0308ber cafe\u0301") == "über café"


def test_whitespace_and_control_characters_become_single_spaces():
    assert normalize_text("\ufeff a\x00\x07b \t\n c\u3000d\u00a0 ") == "a b c d"


def test_joiners_inside_words_stay():
    persian = "می\u200cخواهم"
    assert normalize_text(persian) == persian


def test_normalized_text_is_a_fixed_point():
    once = normalize_text(STORY + "\n\t" + unicodedata.normalize("NFD", STORY))
    assert normalize_text(once) == once


@pytest.mark.parametrize("text", ["", "   ", "...!?", "——", "\x00\n", "🙂", "\ud800"])
def test_a_text_without_letters_or_digits_is_refused(text):
    with pytest.raises(TextError, match="at least one letter or digit"):
        normalize_text(text)


def test_a_lone_surrogate_beside_letters_goes():
    assert normalize_text("a\ud800b").encode() == b"a b"


def test_every_character_is_judged_by_its_unicode_category():
    for code in range(0x110000):
        char = chr(code)
        assert is_speakable(char) == (unicodedata.category(char)[0] in "LN"), hex(code)
        if unicodedata.category(char) not in ("Lo", "Co", "Cn"):  # a million that are alike
            assert normalize_text(f"a{char}b") == by_definition(f"a{char}b"), hex(code)


def test_any_mix_of_scripts_blanks_and_marks_is_normalized_as_defined():
    rng = random.Random(0)
    alphabet = "aZ9 .,  \t\n\u00a0\u3000\u2028\x00\x1c\x85\ufeff\ud800\u200c\u0301é你नमस्ते가ᄀ"
    for _ in range(5000):
        text = "".join(rng.choices(alphabet, k=rng.randint(1, 12)))
        if is_speakable(by_definition(text)):
            assert normalize_text(text) == by_definition(text)


def test_sentences_of_many_scripts_are_found():
    assert split_sentences(STORY, 200) == [
        "Hello there.",
        "It costs 3.5 euros, not 4!",
        "“Really?”",
        "she asked…",
        "你好。",
        "今天天气很好！",
        "你呢？",
        "नमस्ते।",
        "आप कैसे हैं?",
        "هل أنت بخير؟",
        "نعم۔",
        "Ναι.",
        "Да.",
    ]


def test_line_breaks_end_sentences():
    assert split_sentences("Title\nText", 100) == ["Title", "Text"]


def test_a_piece_without_letters_joins_its_neighbour():
    assert split_sentences("... Yes! ?! No.", 100) == ["... Yes! ?!", "No."]


def test_a_long_sentence_is_split_at_a_comma_before_a_space():
    pieces = split_sentences("one two, three four five six", 20)
    assert pieces == ["one two,", "three four five six"]


@pytest.mark.parametrize("max_bytes", [4, 7, 16, 40])
def test_no_character_but_whitespace_is_lost_and_pieces_fit(max_bytes):
    rng = random.Random(max_bytes)
    alphabet = "ab, .。，!？नमस्तेé你\n" + "word and "
    for _ in range(200):
        text = "".join(rng.choices(alphabet, k=rng.randint(1, 60)))
        pieces = split_sentences(text, max_bytes)
        assert squeeze("".join(pieces)) == squeeze(text)
        if is_speakable(text):
            assert all(is_speakable(piece) for piece in pieces)


def test_pieces_of_words_stay_within_the_limit():
    text = "a sentence that goes on, and on without any end in sight " * 5
    assert max(len(piece.encode()) for piece in split_sentences(text, 30)) <= 30


def test_a_word_is_never_cut_between_a_letter_and_its_mark():
    pieces = split_sentences("नि" * 20, 10)
    assert all(unicodedata.category(piece[0])[0] == "L" for piece in pieces)
    assert "".join(pieces) == "नि" * 20


def test_a_limit_below_one_character_is_refused():
    with pytest.raises(ValueError, match="max_bytes must be at least 4, but is 3"):
        split_sentences("a", 3)
