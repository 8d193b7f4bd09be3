import pytest

from gsv2.inference.sentences import CLAUSE_PAUSE_SEC, PAUSE_SEC, plan_sentences
from gsv2.text.normalize import TextError


def pauses(text: str) -> list[tuple[str, float]]:
    return [(sentence.text, sentence.pause_sec) for sentence in plan_sentences(text).sentences]


def test_pauses_are_natural_unless_they_are_asked_for():
    assert pauses("One. Two.[pause 1s] Three.\n\nFour.") == [
        ("One.", 0.0),
        ("Two.", PAUSE_SEC),
        ("Three.", 1.0),
        ("Four.", 0.6),
    ]


def test_a_sentence_that_is_split_pauses_less():
    plan = pauses("word, " * 80 + "end. Next.")
    assert len(plan) == 3
    assert [pause for _, pause in plan] == [0.0, CLAUSE_PAUSE_SEC, PAUSE_SEC]


def test_a_text_may_begin_and_end_in_silence():
    plan = plan_sentences("[pause 1s] One. [pause 2s]")
    assert plan.sentences[0].pause_sec == 1.0
    assert plan.end_sec == 2.0


def test_sentences_of_one_rate_are_spoken_at_once():
    plan = plan_sentences('<speak>A. B. <prosody rate="200%">C. D.</prosody> E.</speak>')
    runs = [[s.text for s in run] for run in plan.runs()]
    assert runs == [["A.", "B."], ["C.", "D."], ["E."]]
    assert [sentence.number for sentence in plan.sentences] == list(range(5))


def test_nothing_to_speak_is_an_error():
    with pytest.raises(TextError):
        plan_sentences("[pause 1s]")
