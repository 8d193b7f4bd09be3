"""Generation with a pointer: where it goes, and what the cache keeps."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from gsv2.inference.generate import Decoder, Prompt, Utterance, generate
from gsv2.inference.text_pointer import TextPointer
from gsv2.models.gpt.model import GPTConfig, GPTInputs, SemanticGPT
from gsv2.models.gpt.patterns import NO_CODE
from gsv2.nn.codes import CodeConfig
from tests.support.generating_gpt import GREEDY, NAMES, SHORT, TINY, V

READINGS = ["pointer", "both"]


def make_gpt(pattern: str = "depth", reading: str = "pointer", num_codebooks: int = 2):
    torch.manual_seed(0)
    codes = CodeConfig(levels=num_codebooks, codebook_size=V, dim=8)
    depth = replace(TINY, num_layers=1)
    model = SemanticGPT(
        GPTConfig(backbone=TINY, depth=depth, pattern=pattern, codes=codes, reading=reading)
    )
    model.set_codebooks(torch.randn(num_codebooks, V, 8))
    return model.eval()


def make_prompt(text: str, length: int, num_codebooks: int = 2) -> Prompt:
    alignment = torch.linspace(0, len(text) - 1, length).round().long()
    return Prompt(text, torch.randint(V, (num_codebooks, length)), alignment)


def make_utterances(num_codebooks: int = 2) -> list[Utterance]:
    torch.manual_seed(2)
    prompts = (make_prompt("früher", 7, num_codebooks), make_prompt("then", 5, num_codebooks))
    return [
        Utterance(text="hello", prompts=prompts),
        Utterance(text="so"),
        Utterance(text="你好吗", prompts=prompts[1:]),
    ]


def full_forward(model: SemanticGPT, utterance: Utterance, codes, characters):
    """Logits of the utterance's own codes and moves from one pass over everything."""
    clips = [*utterance.prompts, Prompt(utterance.text, codes, characters)]
    tokens = model.text_encoder.tokenize([clip.text for clip in clips])
    lengths = torch.tensor([clip.codes.shape[1] for clip in clips])
    grid = torch.full((len(clips), codes.shape[0], int(lengths.max())), NO_CODE)
    alignments = torch.full((len(clips), int(lengths.max())), -1)
    for i, clip in enumerate(clips):
        grid[i, :, : lengths[i]], alignments[i, : lengths[i]] = clip.codes, clip.alignment
    sequence = torch.zeros(len(clips), dtype=torch.int64)
    with torch.no_grad():
        output = model(GPTInputs(*tokens, grid, lengths, sequence, alignments=alignments))
    T = codes.shape[1]
    logits = [logits[-(T + (k == 0)) :][:T] for k, logits in enumerate(output.logits)]
    return logits, output.advance_logits[-T:]


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("num_codebooks", [1, 3])
def test_cached_steps_give_the_logits_and_moves_of_the_full_forward(
    name, num_codebooks, reading, monkeypatch
):
    model = make_gpt(name, reading, num_codebooks)
    utterances = make_utterances(num_codebooks)
    seen = {k: [] for k in range(num_codebooks)}
    moves = []
    choose, move = Decoder._choose, TextPointer.move

    def recording_choose(self, codebook, logits):
        if self.frames[codebook] >= 0:
            seen[codebook].append(logits.clone())
        return choose(self, codebook, logits)

    def recording_move(self, hidden, step):
        moves.append(self._head(hidden, step))
        move(self, hidden, step)

    monkeypatch.setattr(Decoder, "_choose", recording_choose)
    monkeypatch.setattr(TextPointer, "move", recording_move)
    for chosen in [utterances[:1], utterances]:
        moves.clear()
        for rows in seen.values():
            rows.clear()
        out = generate(model, chosen, replace(GREEDY, max_sec_per_byte=1.0))
        for item, one in enumerate(chosen):
            T = int(out.lengths[item])
            codes, characters = out.codes[item, :, :T], out.characters[item, :T]
            logits, expected_moves = full_forward(model, one, codes, characters)
            for k, expected in enumerate(logits):
                if k and model.pattern.refined:  # drawn after all, the likeliest ones
                    assert torch.equal(expected.argmax(dim=1), codes[k])
                    continue
                got = torch.stack([row[item] for row in seen[k][: len(expected)]])
                torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)
            got = torch.stack([row[item] for row in moves[:T]])
            torch.testing.assert_close(got, expected_moves, atol=1e-4, rtol=1e-4)


def set_moves(model: SemanticGPT, chances: list[float]) -> None:
    """Let the head say the same at each frame."""
    model.pointer.advance.output.weight.data.zero_()
    model.pointer.advance.output.bias.data.copy_(torch.tensor(chances).log())


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("chances", [[0.3, 0.6, 0.1], [0.3, 0.1, 0.6], [0.01, 0.01, 0.98]])
def test_every_character_is_spoken_in_order_and_speech_ends_with_the_text(name, reading, chances):
    model = make_gpt(name, reading)
    set_moves(model, chances)
    model.head.classifiers[0].weights.bias.data[model.end] = 1000.0  # the codes' head has no say
    out = generate(model, make_utterances(), replace(SHORT, max_sec_per_byte=9.0, seed=3))
    assert out.ended.all()
    for item, utterance in enumerate(make_utterances()):
        spoken = out.characters[item, : int(out.lengths[item])].tolist()
        moves = [b - a for a, b in pairwise(spoken)]
        assert spoken[0] == 0
        assert spoken[-1] == len(utterance.text) - 1
        assert set(moves) <= {0, 1, 2}
        codes = out.codes[item, :, : int(out.lengths[item])]
        assert ((codes >= 0) & (codes < V)).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_head_that_never_moves_is_moved_on_and_the_cap_ends_what_it_must(name):
    model = make_gpt(name)
    set_moves(model, [1.0, 1e-9, 1e-9])
    sampling = replace(GREEDY, max_character_sec=0.12, max_sec_per_byte=9.0)
    out = generate(model, make_utterances(), sampling)
    assert out.ended.all()
    assert out.lengths.tolist() == [3 * 5, 3 * 2, 3 * 3]
    capped = generate(model, make_utterances(), replace(sampling, max_sec_per_byte=0.04))
    assert capped.lengths.tolist() == [10, 6, 9]  # 25 Hz * (5 bytes * 0.04 s + 0.2 s)
    assert capped.ended.tolist() == [False, True, True]


def test_durations_are_the_medians_when_cold():
    model = make_gpt()
    set_moves(model, [0.8, 0.19, 0.01])  # 0.8 ** 4 < 0.5
    cold = replace(GREEDY, duration_temperature=0.0, max_sec_per_byte=9.0)
    out = generate(model, [Utterance(text="a long enough text")], cold)
    assert out.lengths.tolist() == [4 * 18]


def test_durations_that_are_drawn_have_the_mean_of_the_models_chances():
    model = make_gpt()
    set_moves(model, [0.75, 0.25, 1e-9])
    warm = replace(GREEDY, duration_temperature=1.0, max_sec_per_byte=9.0, max_character_sec=9.0)
    text = "a text of many characters, whose durations are drawn one by one"
    lengths = generate(model, [Utterance(text=text)] * 3, warm).lengths
    mean = int(lengths.sum()) / (3 * len(text))
    assert mean == pytest.approx(4.0, rel=0.2)  # of a geometric distribution


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("name", NAMES)
def test_an_utterance_does_not_depend_on_its_company(name, reading):
    model = make_gpt(name, reading)
    utterances = make_utterances()
    sampling = replace(SHORT, max_sec_per_byte=1.0, temperature=0.0, duration_temperature=1.0)
    together = generate(model, utterances, sampling)
    for item, utterance in enumerate(utterances):
        if item:
            continue  # random numbers are those of the item's place in the call
        alone = generate(model, [utterance], sampling)
        T = int(alone.lengths[0])
        assert int(together.lengths[item]) == T
        assert torch.equal(alone.codes[0], together.codes[item, :, :T])
        assert torch.equal(alone.characters[0], together.characters[item, :T])


def test_a_prompt_without_an_alignment_is_refused():
    prompt = make_prompt("then", 5)
    for alignment in (None, torch.zeros(4, dtype=torch.int64)):
        utterance = Utterance(text="a", prompts=(prompt._replace(alignment=alignment),))
        with pytest.raises(ValueError, match=r"alignment of a prompt must be \[T=5\]"):
            generate(make_gpt(), [utterance], GREEDY)


def test_attention_alone_says_nothing_of_characters():
    out = generate(make_gpt(reading="attention"), [Utterance(text="so")], GREEDY)
    assert out.characters is None
