from dataclasses import replace

import pytest
import torch

from gsv2.inference.decoder import Decoder
from gsv2.inference.generate import Prompt, Utterance, generate, generate_frames
from gsv2.models.gpt.model import GPTInputs, SemanticGPT
from gsv2.nn.codes import NO_CODE
from gsv2.text.normalize import TextError
from tests.support.generating_gpt import GREEDY, NAMES, SHORT, V, make_gpt, make_utterances


def full_forward(model: SemanticGPT, utterance: Utterance, codes: torch.Tensor) -> list:
    """Logits of the utterance's own codes from one pass over everything."""
    clips = [*utterance.prompts, Prompt(utterance.text, codes)]
    tokens = model.text_encoder.tokenize([clip.text for clip in clips])
    lengths = torch.tensor([clip.codes.shape[1] for clip in clips])
    grid = torch.full((len(clips), codes.shape[0], int(lengths.max())), NO_CODE)
    for row, clip in zip(grid, clips, strict=True):
        row[:, : clip.codes.shape[1]] = clip.codes
    with torch.no_grad():
        output = model(
            GPTInputs(*tokens, grid, lengths, torch.zeros(len(clips), dtype=torch.int64))
        )
    T = codes.shape[1]
    return [
        logits[-(T + (k == 0)) :][:T]  # without the end
        for k, logits in enumerate(output.logits)
    ]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("num_codebooks", [1, 2, 3])
def test_cached_steps_give_the_logits_of_the_full_forward(name, num_codebooks, monkeypatch):
    model = make_gpt(name, num_codebooks)
    utterances = make_utterances(num_codebooks)
    seen: dict[int, list[torch.Tensor]] = {k: [] for k in range(num_codebooks)}

    for utterance in [[utterances[0]], utterances]:
        for rows in seen.values():
            rows.clear()
        monkeypatch.setattr("gsv2.inference.decoder.Decoder._choose", _recording_choose(seen))
        out = generate(model, utterance, replace(GREEDY, max_sec_per_byte=0.0, max_extra_sec=0.4))
        monkeypatch.undo()
        for item, one in enumerate(utterance):
            codes = out.codes[item, :, : int(out.lengths[item])]
            for k, expected in enumerate(full_forward(model, one, codes)):
                if k and model.pattern.refined:  # drawn after all, the likeliest ones
                    assert torch.equal(expected.argmax(dim=1), codes[k])
                    continue
                got = torch.stack([logits[item] for logits in seen[k][: len(expected)]])
                torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)


def _recording_choose(seen):
    original = Decoder._choose

    def choose(self, codebook, logits):
        if self.frames[codebook] >= 0:
            seen[codebook].append(logits.clone())
        return original(self, codebook, logits)

    return choose


@pytest.mark.parametrize("name", NAMES)
def test_an_utterance_does_not_depend_on_its_company(name):
    model = make_gpt(name)
    utterances = make_utterances()
    together = generate(model, utterances, GREEDY)
    for item, utterance in enumerate(utterances):
        alone = generate(model, [utterance], GREEDY)
        length = int(alone.lengths[0])
        assert int(together.lengths[item]) == length
        assert torch.equal(alone.codes[0], together.codes[item, :, :length])
        assert (together.codes[item, :, length:] == NO_CODE).all()


@pytest.mark.parametrize("name", NAMES)
def test_codes_are_whole_whatever_the_pattern(name):
    model = make_gpt(name, 3)
    out = generate(model, make_utterances(3), replace(SHORT, temperature=1.5, top_k=0, top_p=1.0))
    for codes, length in zip(out.codes, out.lengths.tolist(), strict=True):
        assert ((codes[:, :length] >= 0) & (codes[:, :length] < V)).all()


def test_the_same_seed_gives_the_same_codes_and_another_does_not():
    model = make_gpt()
    config = replace(SHORT, temperature=1.0, top_k=0, top_p=1.0)
    first, again, other = (
        generate(model, make_utterances(), replace(config, seed=seed)) for seed in (5, 5, 6)
    )
    assert torch.equal(first.codes, again.codes)
    assert first.codes.shape != other.codes.shape or not torch.equal(first.codes, other.codes)


@pytest.mark.parametrize("name", NAMES)
def test_an_utterance_ends_when_the_model_says_so(name):
    model = make_gpt(name)
    _force_end(model, 1000.0)
    out = generate(model, make_utterances(), replace(GREEDY, min_sec_per_byte=0.04))
    assert out.ended.all()
    assert out.lengths.tolist() == [5, 2, 6]  # the least frames: one for each byte


@pytest.mark.parametrize("name", NAMES)
def test_a_model_that_never_ends_is_stopped_at_the_cap(name):
    model = make_gpt(name)
    _force_end(model, -1000.0)
    sampling = replace(GREEDY, max_sec_per_byte=0.04, max_extra_sec=0.08)
    out = generate(model, make_utterances(), sampling)
    assert not out.ended.any()
    assert out.lengths.tolist() == [7, 4, 8]


def _force_end(model: SemanticGPT, logit: float) -> None:
    model.head.classifiers[0].weights.bias.data[model.end] = logit


def test_generation_leaves_the_training_mode_as_it_was():
    model = make_gpt().train()
    generate(model, make_utterances()[1:2], GREEDY)
    assert model.training


def test_nothing_to_speak_is_refused():
    with pytest.raises(TextError):
        generate(make_gpt(), [Utterance(text="...")], GREEDY)
    with pytest.raises(ValueError, match="at least one utterance"):
        generate(make_gpt(), [], GREEDY)


@pytest.mark.parametrize("name", NAMES)
def test_frames_one_by_one_are_those_of_the_whole_and_come_as_soon_as_they_are_whole(
    name, monkeypatch
):
    model = make_gpt(name, 3)
    config = replace(SHORT, temperature=1.0, seed=3, max_sec_per_byte=0.4)
    utterance = make_utterances(3)[0]
    whole = generate(model, [utterance], config)
    taken = []
    steps = Decoder.steps

    def counting(self, *rest):
        for number in steps(self, *rest):
            taken.append(number)
            yield number

    monkeypatch.setattr(Decoder, "steps", counting)
    frames, steps_at = [], []
    for frame in generate_frames(model, utterance, config):
        frames.append(frame)
        steps_at.append(taken[-1])
    assert len(frames) > 3
    assert torch.equal(torch.stack(frames, dim=1), whole.codes[0])
    if name != "nar":
        stride, lag = model.pattern.stride, model.pattern.offsets[-1]
        assert steps_at == [stride * t + lag + 1 for t in range(len(frames))]
