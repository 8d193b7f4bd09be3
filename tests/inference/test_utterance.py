"""Utterances as the GPT reads them."""

import pytest
import torch

from gsv2.inference.generate import generate
from gsv2.inference.utterance import Prompt, Utterance, embed_utterances
from tests.support.generating_gpt import GREEDY, make_gpt, make_utterances


def test_prompt_codes_of_other_codebooks_are_refused():
    utterance = Utterance(text="a", prompts=(Prompt("b", torch.zeros(3, 4, dtype=torch.int64)),))
    with pytest.raises(ValueError, match=r"\[K=2, T\], but are \(3, 4\)"):
        generate(make_gpt(), [utterance], GREEDY)


def test_utterances_end_at_one_position_and_are_padded_on_the_left():
    model, utterances = make_gpt(), make_utterances()
    inputs, mask = embed_utterances(model, utterances)
    for row, utterance in enumerate(utterances):
        alone, whole = embed_utterances(model, [utterance])
        assert whole.all()
        length = alone.shape[1]
        assert torch.allclose(inputs[row, -length:], alone[0])
        assert mask[row].sum() == length
        assert mask[row, -length:].all()


@pytest.mark.parametrize("weights", [(1.0,), (1.0, 0.0), (1.0, -2.0), (1.0, float("nan"))])
def test_weights_are_one_above_0_for_each_prompt(weights):
    prompts = make_utterances()[0].prompts
    with pytest.raises(ValueError, match="prompt_weights must be one above 0 for each of 2"):
        Utterance(text="a", prompts=prompts, prompt_weights=weights)
