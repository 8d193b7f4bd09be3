import pytest

from gsv2.quickstart.sentences import Grammar, draw_sentences, sentences

TINY = Grammar(
    language="xx",
    espeak="xx",
    script="Latn",
    tempo=1.0,
    templates=("{a} and {b}.", "Only {a}."),
    slots={"a": ("one", "two", "three"), "b": ("red", "blue")},
)


def test_every_combination_of_words_is_a_sentence():
    both, only = sentences(TINY)
    assert len(both) == 6
    assert [sentence.text for sentence in only] == ["Only one.", "Only two.", "Only three."]
    assert both[0].words == (("a", "one"), ("b", "red"))


def test_heldout_sentences_never_train():
    train, heldout = draw_sentences(TINY, num_train=5, num_heldout=4, seed=0)
    assert len({s.text for s in train} | {s.text for s in heldout}) == 9


def test_words_are_used_evenly():
    train, _ = draw_sentences(TINY, num_train=3, num_heldout=0, seed=1)
    words = {word for sentence in train for word in sentence.words}
    assert len(words) == 5  # 3 + 2, in only three sentences of at most two words


def test_training_sentences_repeat_in_turn_when_there_are_no_more():
    train, _ = draw_sentences(TINY, num_train=12, num_heldout=3, seed=0)
    assert train[6:] == train[:6]


def test_the_seed_decides():
    draw = [draw_sentences(TINY, num_train=4, num_heldout=2, seed=s) for s in (0, 0, 1)]
    assert draw[0] == draw[1] != draw[2]


def test_holding_out_more_than_half_is_refused():
    with pytest.raises(ValueError, match="at most 4 sentences, but 5"):
        draw_sentences(TINY, num_train=1, num_heldout=5, seed=0)
