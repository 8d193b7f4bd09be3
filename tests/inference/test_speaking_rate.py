"""Generation at another speaking rate: the durations of rate 1, stretched."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from gsv2.inference.generate import Utterance, generate
from gsv2.inference.sampling import SamplingConfig
from gsv2.inference.text_pointer import stretch_pointers
from gsv2.models.gpt.model import SemanticGPT
from tests.inference.test_text_pointer import READINGS, make_gpt, make_utterances, set_moves
from tests.support.generating_gpt import GREEDY, NAMES, SHORT, V

RATES = (0.4, 1.2, 2.5)


def is_sure(model: SemanticGPT) -> None:
    """Let the head move on after 4 frames of a character, sure of it: no factor would hurry it."""
    frames = iter(range(10**6))

    def say(module, arguments, logits):
        chances = [1e-6, 1 - 2e-6, 1e-6] if next(frames) % 4 == 3 else [1 - 2e-6, 1e-6, 1e-6]
        return torch.tensor(chances).log().expand(len(logits), 3)

    model.pointer.advance.register_forward_hook(say)


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("head", ["sure", "drawn"])
def test_the_frames_of_a_text_are_those_at_rate_1_divided_by_the_rate(head, reading):
    model, utterance = make_gpt(reading=reading), [Utterance(text="said fast")]
    sampling = replace(GREEDY, duration_temperature=1.0, max_sec_per_byte=9.0, seed=1)
    if head == "sure":
        is_sure(model)
    else:
        set_moves(model, [0.75, 0.2, 0.05])
    natural = generate(model, utterance, sampling)
    T, spoken = int(natural.lengths[0]), natural.characters[0].tolist()
    for rate in RATES:
        out = generate(model, utterance, replace(sampling, speaking_rate=rate))
        assert int(out.lengths[0]) == round(T / rate)
        assert out.ended.all()
        faster = out.characters[0].tolist()
        for character in set(spoken):
            if character in faster:  # or two share a frame
                assert abs(faster.index(character) - spoken.index(character) / rate) <= 2


@pytest.mark.parametrize("name", NAMES)
def test_at_any_rate_the_pointer_skips_nothing_and_ends_with_the_text(name):
    model = make_gpt(name)
    set_moves(model, [0.5, 0.3, 0.2])
    for rate in (*RATES, 50.0):
        sampling = replace(SHORT, max_sec_per_byte=9.0, seed=3, speaking_rate=rate)
        out = generate(model, make_utterances(), sampling)
        assert out.ended.all()
        for item, utterance in enumerate(make_utterances()):
            length, last = int(out.lengths[item]), len(utterance.text) - 1
            spoken = out.characters[item, :length].tolist()
            assert (spoken[0], spoken[-1]) == (0, last)
            assert {b - a for a, b in pairwise(spoken)} <= {0, 1, 2}
            codes = out.codes[item, :, :length]
            assert ((codes >= 0) & (codes < V)).all()
            if rate == 50.0:
                assert length == -(-last // 2) + 1


def test_speech_that_is_cut_is_cut_at_every_rate():
    model = make_gpt()
    set_moves(model, [0.9, 0.1, 1e-9])
    sampling = replace(GREEDY, max_sec_per_byte=0.04, max_character_sec=9.0)
    natural = generate(model, make_utterances(), sampling)
    assert not natural.ended.all()
    for rate in (0.5, 2.0):
        out = generate(model, make_utterances(), replace(sampling, speaking_rate=rate))
        assert out.ended.tolist() == natural.ended.tolist()
        assert out.lengths.tolist() == [round(n / rate) for n in natural.lengths.tolist()]


@pytest.mark.parametrize(
    ("places", "rate", "expected"),
    [
        ([0, 0, 1, 1, 2, 2], 2.0, [0, 1, 2]),
        ([0, 1, 2], 0.5, [0, 0, 1, 1, 2, 2]),
        ([0, 0, 0, 0, 1, 2, 3, 4], 2.0, [0, 0, 2, 4]),
        ([0, 1, 2, 3, 4], 9.0, [0, 2, 4]),
        ([0, 0], 9.0, [0]),
    ],
)
def test_a_schedule_is_stretched_by_the_middles_of_its_frames(places, rate, expected):
    row, length = torch.tensor([places]), torch.tensor([len(places)])
    schedule = stretch_pointers(row, length, torch.tensor([True]), rate)
    assert schedule.places.tolist() == [expected]
    assert schedule.lengths.tolist() == [len(expected)]


@pytest.mark.parametrize("rate", [0.0, -1.0, float("inf"), float("nan")])
def test_a_rate_that_no_speech_has_is_refused(rate):
    with pytest.raises(ValueError, match="speaking_rate must be above 0"):
        SamplingConfig(speaking_rate=rate)
