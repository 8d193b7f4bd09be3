from importlib.util import find_spec

import pytest

from gsv2.text import words
from gsv2.text.normalize import split_sentences
from gsv2.text.words import needs_dictionary, word_ends

THAI = ("ภาษา", "ไทย", "เป็น", "ภาษา", "ที่", "สวยงาม")
LAO = ("ພາສາ", "ລາວ")


@pytest.mark.skipif(find_spec("icu4py") is None, reason="needs icu4py")
@pytest.mark.parametrize("parts", [THAI, LAO, ("ភាសាខ្មែរ", "ស្អាត"), ("မြန်မာဘာသာ", "စကား")])
def test_words_without_spaces_end_where_a_dictionary_says(parts):
    text = "".join(parts)
    ends = [len("".join(parts[: number + 1])) for number in range(len(parts))]
    assert word_ends(text) == ends


@pytest.mark.skipif(find_spec("icu4py") is None, reason="needs icu4py")
@pytest.mark.parametrize("max_bytes", [24, 40, 60])
def test_a_long_thai_sentence_is_cut_between_words(max_bytes):
    text = "".join(THAI * 5)
    pieces = split_sentences(text, max_bytes)
    assert "".join(pieces) == text
    assert all(len(piece.encode()) <= max_bytes for piece in pieces)
    ends = set(word_ends(text))
    place = 0
    for piece in pieces:
        place += len(piece)
        assert place in ends


@pytest.mark.parametrize("text", ["hello there", "你好", "שלום", "བོད་སྐད"])
def test_other_scripts_need_no_dictionary(text):
    assert not needs_dictionary(text)
    assert word_ends(text) is None


def test_without_icu_text_is_cut_between_characters(monkeypatch):
    monkeypatch.setattr(words, "find_spec", lambda name: None)
    pieces = split_sentences("".join(THAI * 5), 40)
    assert "".join(pieces) == "".join(THAI * 5)
    assert all(len(piece.encode()) <= 40 for piece in pieces)


def test_tibetan_is_cut_between_syllables():
    text = "བོད་སྐད་ཡིག་ནི་བོད་མིའི་སྐད་ཡིག་" * 3
    pieces = split_sentences(text, 40)
    assert "".join(pieces) == text
    assert all(piece.endswith("་") for piece in pieces)
