import json

import numpy as np
import pytest

from gsv2.inference.spoken_times import (
    join_times,
    split_words,
    time_text,
    time_tokens,
    to_json,
    to_textgrid,
    write_times,
)
from gsv2.text.encoders.byte_encoder import ByteEncoder


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The red, old train's late.", ["The", "red", "old", "train's", "late"]),
        ('«¿Qué?» dijo - "nada".', ["Qué", "dijo", "nada"]),
        ("今天是第3个好天气。OK?", ["今", "天", "是", "第", "3", "个", "好", "天", "气", "OK"]),
        ("東京へ行く", list("東京へ行く")),
        ("한국어 문장입니다.", ["한국어", "문장입니다"]),
        ("यह हिंदी है।", ["यह", "हिंदी", "है"]),
        ("...", []),
    ],
)
def test_words_stand_between_spaces_without_punctuation_and_each_han_alone(text, words):
    assert [text[start:end] for start, end in split_words(text)] == words


def test_times_are_those_of_the_frames_that_speak_a_character():
    spoken = time_text("ab cd.", np.array([0, 0, 1, 3, 3, 3, 4, 5]), 10.0)
    starts = [round(part.start_sec, 3) for part in spoken.characters]
    ends = [round(part.end_sec, 3) for part in spoken.characters]
    assert starts == [0.0, 0.2, 0.3, 0.35, 0.6, 0.7]  # the space shares a frame with the c
    assert ends == [0.2, 0.3, 0.35, 0.6, 0.7, 0.8]
    words = [(word.text, round(word.start_sec, 3), round(word.end_sec, 3)) for word in spoken.words]
    assert words == [("ab", 0.0, 0.3), ("cd", 0.35, 0.7)]
    assert spoken.duration_sec == 0.8


def test_characters_lie_side_by_side_whatever_the_pointer_did():
    rng = np.random.default_rng(0)
    for _ in range(20):
        moves = rng.integers(0, 3, 30)
        places = np.minimum(np.cumsum(moves) - moves[0] + rng.integers(0, 2), 19)
        spoken = time_text("abcdefghij klmnopqrs", places, 25.0)
        reached = 0.0
        for part in spoken.characters:
            assert part.start_sec == pytest.approx(reached)
            assert part.end_sec >= part.start_sec
            reached = part.end_sec
        assert reached == pytest.approx(30 / 25)


def test_a_text_that_was_cut_ends_with_its_frames():
    spoken = time_text("ab cd", np.array([0, 1, 1]), 10.0)
    assert [word.end_sec for word in spoken.words] == pytest.approx([0.3, 0.3])


def test_sentences_follow_each_other():
    first = time_text("ab", np.array([0, 1]), 10.0)
    second = time_text("c", np.array([0]), 10.0).shifted(0.4)
    both = join_times([first, second])
    assert [word.text for word in both.words] == ["ab", "c"]
    assert (both.words[1].start_sec, both.duration_sec) == pytest.approx((0.4, 0.5))
    assert join_times([]).duration_sec == 0


def test_a_textgrid_fills_its_tiers_from_start_to_end():
    text = to_textgrid(time_text('a "b"', np.array([0, 0, 1, 2, 3, 4]), 10.0))
    lines = [line.strip() for line in text.splitlines()]
    assert lines[:2] == ['File type = "ooTextFile"', 'Object class = "TextGrid"']
    assert lines.count('class = "IntervalTier"') == 2
    assert 'text = """"' in lines  # a quotation mark, doubled
    starts = [float(line[7:]) for line in lines if line.startswith("xmin = ")]
    ends = [float(line[7:]) for line in lines if line.startswith("xmax = ")]
    words = slice(2, 2 + 4)  # a, nothing, b, nothing
    assert starts[words] == [0.0, 0.2, 0.4, 0.5]
    assert ends[words] == [0.2, 0.4, 0.5, 0.6]


def test_files_are_written_by_their_suffix(tmp_path):
    spoken = time_text("ab", np.array([0, 1]), 10.0)
    write_times(spoken, tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text()) == json.loads(to_json(spoken))
    write_times(spoken, tmp_path / "a.TextGrid")
    assert "IntervalTier" in (tmp_path / "a.TextGrid").read_text()
    with pytest.raises(ValueError, match=r"TextGrid or \.json"):
        write_times(spoken, tmp_path / "a.txt")


def test_tokens_of_bytes_share_their_character_and_silences_stand_around_them():
    text = "né o"
    spans = ByteEncoder(4).character_spans(text)
    assert spans == [(0, 1), (1, 2), (1, 2), (2, 3), (3, 4)]
    spoken = time_tokens(text, spans, [5, 2, 1, 3, 0, 4, 10], rate_hz=50.0)
    assert spoken.duration_sec == 0.5
    assert [word.text for word in spoken.words] == ["né", "o"]
    times = [spoken.words[0].start_sec, spoken.words[0].end_sec, spoken.words[1].end_sec]
    assert times == pytest.approx([0.1, 0.22, 0.3])


def test_characters_of_a_subword_share_its_frames():
    spoken = time_tokens("four", [(0, 4)], [0, 8, 0], rate_hz=1.0)
    assert [part.end_sec for part in spoken.characters] == [2.0, 4.0, 6.0, 8.0]
