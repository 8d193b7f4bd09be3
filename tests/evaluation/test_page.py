from gsv2.evaluation.page import choose_by_turns


def test_every_language_is_heard_before_a_second_sentence_of_any():
    languages = ["en"] * 5 + ["zh"] * 2 + ["ar"]
    assert choose_by_turns(languages, 3) == [0, 5, 7]
    assert choose_by_turns(languages, 5) == [0, 1, 5, 6, 7]
    assert choose_by_turns(languages, 99) == list(range(8))
