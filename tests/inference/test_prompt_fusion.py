"""Several prompts of one utterance: each heard alone, their predictions averaged by weight."""

from dataclasses import replace

import pytest
import torch

from gsv2.inference.generate import Utterance, generate
from gsv2.inference.prompt_fusion import PromptFusion
from tests.inference.test_text_pointer import make_gpt as make_pointer_gpt
from tests.inference.test_text_pointer import make_prompt
from tests.support.generating_gpt import GREEDY, SHORT, make_gpt, make_utterances


def averaged(utterance: Utterance, *weights: float) -> Utterance:
    return replace(utterance, prompt_weights=weights)


def test_values_are_averaged_by_weight_within_each_utterance():
    fusion = PromptFusion([2, 1, 3], [1.0, 3.0, 5.0, 1.0, 1.0, 2.0])
    values = torch.randn(6, 4)
    found = fusion.average(values)
    wanted = torch.stack(
        [
            0.25 * values[0] + 0.75 * values[1],
            values[2],
            0.25 * values[3] + 0.25 * values[4] + 0.5 * values[5],
        ]
    )
    assert torch.allclose(found, wanted[[0, 0, 1, 2, 2, 2]], atol=1e-6)
    assert fusion.first_rows.tolist() == [0, 2, 3]


@pytest.mark.parametrize("pattern", ["depth", "parallel", "delay", "flatten"])
def test_equal_prompts_in_parallel_say_what_one_says(pattern):
    model = make_gpt(pattern)
    utterance = make_utterances()[2]
    twice = replace(utterance, prompts=utterance.prompts * 2, prompt_weights=(1.0, 2.0))
    one, two = generate(model, [utterance], SHORT), generate(model, [twice], SHORT)
    assert torch.equal(one.lengths, two.lengths)
    assert torch.equal(one.codes, two.codes)


def test_the_logits_of_a_step_are_the_weighted_mean_of_those_after_each_prompt(monkeypatch):
    model = make_gpt("parallel")
    utterance = make_utterances()[0]
    seen: list[torch.Tensor] = []
    original = model.head.choose

    def choose(hidden, choose):
        seen.append(hidden.clone())
        return original(hidden, choose)

    monkeypatch.setattr(model.head, "choose", choose)
    weights = (0.25, 0.75)
    made = generate(model, [averaged(utterance, *weights)], GREEDY)
    rows = seen[0]
    with torch.inference_mode():
        logits = model.head.classifiers[0](rows, model.head.entries[0])
    mean = weights[0] * logits[0] + weights[1] * logits[1]
    mean[model.end] = -torch.inf
    assert int(made.codes[0, 0, 0]) == int(mean.argmax())
    seen.clear()
    for prompt in utterance.prompts:
        generate(model, [replace(utterance, prompts=(prompt,))], GREEDY)
        assert any(torch.allclose(seen[0][0], row, atol=1e-5) for row in rows)
        seen.clear()


def test_utterances_with_and_without_fusion_share_a_batch():
    model = make_gpt()
    first, second, third = make_utterances()
    mixed = averaged(first, 1.0, 1.0)
    alone = [generate(model, [item], SHORT, [i]) for i, item in enumerate((mixed, second, third))]
    together = generate(model, [mixed, second, third], SHORT)
    for i, one in enumerate(alone):
        assert int(together.lengths[i]) == int(one.lengths[0])
        length = int(one.lengths[0])
        assert torch.equal(together.codes[i, :, :length], one.codes[0, :, :length])


@pytest.mark.parametrize("rate", [1.0, 1.5])
def test_a_pointer_moves_by_the_mean_of_its_chances(rate):
    model = make_pointer_gpt()
    torch.manual_seed(2)
    prompt = make_prompt("then", 5)
    sampling = replace(SHORT, speaking_rate=rate)
    one = generate(model, [Utterance(text="hello", prompts=(prompt,))], sampling)
    same = Utterance(text="hello", prompts=(prompt, prompt), prompt_weights=(2.0, 1.0))
    two = generate(model, [same], sampling)
    assert torch.equal(one.codes, two.codes)
    assert torch.equal(one.characters, two.characters)
    other = make_prompt("now", 6)
    mixed = Utterance(text="hello", prompts=(prompt, other), prompt_weights=(1.0, 1.0))
    assert generate(model, [mixed], sampling).ended.all()


@pytest.mark.parametrize("weights", [(1.0,), (1.0, 0.0), (1.0, -1.0), (1.0, float("nan"))])
def test_weights_that_cannot_be_meant_are_refused(weights):
    with pytest.raises(ValueError, match="one above 0 for each of 2 prompts"):
        averaged(make_utterances()[0], *weights)
