from collections import Counter, defaultdict

import pytest

from gsv2.quickstart.demo_plan import HELDOUT_CLIPS_PER_VOICE, MEAN_CLIP_SEC, plan_demo
from gsv2.quickstart.demo_voices import TRAIN_VOICES
from gsv2.quickstart.grammars import GRAMMARS


@pytest.fixture(scope="module")
def plan():
    return plan_demo(seed=0, minutes=18)


def by_language(utterances, value):
    found = defaultdict(set)
    for utterance in utterances:
        found[utterance.grammar.language].add(value(utterance))
    return found


def test_heldout_voices_and_sentences_never_train(plan):
    assert not {u.voice.variant for u in plan.heldout} & {u.voice.variant for u in plan.train}
    assert not {u.text for u in plan.heldout} & {u.text for u in plan.train}


def test_every_heldout_sentence_is_made_of_trained_words(plan):
    trained, heldout = (by_language(us, lambda u: u.text) for us in (plan.train, plan.heldout))
    for language in heldout:
        if language in ("en", "es", "hi", "ko", "ru"):  # blanks between words
            words = {word for text in trained[language] for word in text.split()}
            assert {word for text in heldout[language] for word in text.split()} <= words
        letters = {letter for text in trained[language] for letter in text}
        assert {letter for text in heldout[language] for letter in text} <= letters


def test_every_training_voice_speaks_every_language_often_enough_for_prompts(plan):
    counts = Counter((u.speaker, u.grammar.language) for u in plan.train)
    assert len(counts) == len(TRAIN_VOICES) * len(GRAMMARS)
    assert min(counts.values()) >= 4


def test_a_language_is_held_out_in_two_voices_that_speak_equally_often(plan):
    counts = Counter((u.grammar.language, u.voice.variant) for u in plan.heldout)
    assert len(counts) == 2 * len(GRAMMARS)
    assert set(counts.values()) == {HELDOUT_CLIPS_PER_VOICE}


def test_keys_are_unique_and_hold_no_dots(plan):
    keys = [u.key for u in plan.train + plan.heldout]
    assert len(set(keys)) == len(keys)
    assert not any("." in key for key in keys)


def test_minutes_decide_the_number_of_clips():
    for minutes in (18, 60):
        clips = len(plan_demo(seed=0, minutes=minutes).train)
        assert clips * MEAN_CLIP_SEC / 60 == pytest.approx(minutes, rel=0.1)


def test_the_plan_depends_on_the_seed_alone(plan):
    assert plan_demo(seed=0, minutes=18) == plan
    assert plan_demo(seed=1, minutes=18) != plan


def test_more_minutes_than_sentences_are_refused():
    with pytest.raises(ValueError, match="minutes must not ask a voice for more than"):
        plan_demo(seed=0, minutes=5000)
