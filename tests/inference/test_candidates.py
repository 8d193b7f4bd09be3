"""Candidates of an utterance, and the aligner's choice among them."""

from dataclasses import replace

import pytest
import torch

from gsv2.inference import candidates
from gsv2.inference.candidates import generate_best, score_codes
from gsv2.inference.generate import GeneratedCodes, Utterance, generate
from gsv2.inference.sampling import SamplingConfig
from gsv2.models.component import load_component
from gsv2.models.gpt.model import SemanticGPT
from tests.support.pointer_bundle import save_aligner, save_run

SAMPLING = SamplingConfig(temperature=1.0, max_character_sec=0.2, candidates=5, retries=0)
UTTERANCES = [Utterance(text=text) for text in ("hello there", "so", "你好", "one more")]


@pytest.fixture(scope="module", params=["pointer", "attention"])
def parts(request, tmp_path_factory):
    """GPT and aligner of one quantizer."""
    folder = tmp_path_factory.mktemp("parts")
    aligner = save_aligner(folder)
    save_run(folder, request.param, aligner.fingerprint())
    gpt = load_component(folder / "gpt.safetensors", "gpt")
    return SemanticGPT.from_component(gpt), aligner


def rows(generated: GeneratedCodes) -> list[list[list[int]]]:
    lengths = generated.lengths.tolist()
    return [c[:, :n].tolist() for c, n in zip(generated.codes, lengths, strict=True)]


def test_the_candidate_whose_text_is_likeliest_is_kept(parts):
    gpt, aligner = parts
    best = generate_best(gpt, aligner, UTTERANCES, SAMPLING)
    for i, utterance in enumerate(UTTERANCES):
        streams = [i + c * 2**32 for c in range(5)]
        drawn = generate(gpt, [utterance] * 5, SAMPLING, streams)
        scores = score_codes(aligner, drawn, [utterance.text] * 5)
        assert rows(drawn)[int(scores.argmax())] == rows(best)[i]
        assert len({str(row) for row in rows(drawn)}) > 1


def test_one_candidate_or_no_aligner_is_what_is_generated(parts):
    gpt, aligner = parts
    alone = rows(generate(gpt, UTTERANCES, SAMPLING))
    assert rows(generate_best(gpt, aligner, UTTERANCES, replace(SAMPLING, candidates=1))) == alone
    assert rows(generate_best(gpt, None, UTTERANCES, SAMPLING)) == alone


def test_utterances_in_groups_are_spoken_as_all_at_once(parts, monkeypatch):
    gpt, aligner = parts
    together = generate_best(gpt, aligner, UTTERANCES, SAMPLING)
    monkeypatch.setattr(candidates, "_MOST_ROWS", 5)
    assert rows(generate_best(gpt, aligner, UTTERANCES, SAMPLING)) == rows(together)


def test_codes_that_a_cap_ended_or_that_no_text_fits_come_last(parts):
    _, aligner = parts
    codes = torch.randint(8, (1, 2, 6)).repeat(4, 1, 1)
    ended = torch.tensor([True, False, True, True])
    generated = GeneratedCodes(codes, torch.tensor([6, 6, 1, 0]), ended)
    scores = score_codes(aligner, generated, ["abc"] * 4).tolist()
    assert scores[0] > scores[1] > scores[2] == scores[3] == -torch.inf


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("retries", [1, 3])
def test_what_has_no_end_is_drawn_again_from_other_numbers_and_not_for_ever(
    parts, monkeypatch, count, retries
):
    """An end comes at the second retry of one utterance, and never of another."""
    gpt, aligner = parts
    drawn: list[list[int]] = []

    def draw(model, utterances, sampling, streams, each_step):
        drawn.append(list(streams))
        made = generate(model, utterances, sampling, streams)
        retry = [stream // 2**48 for stream in streams]
        ends = {"hello there": 0, "so": 2, "你好": 99, "one more": 0}
        ended = [n >= ends[u.text] for u, n in zip(utterances, retry, strict=True)]
        return made._replace(ended=torch.tensor(ended))

    monkeypatch.setattr(candidates, "generate", draw)
    sampling = replace(SAMPLING, candidates=count, retries=retries)
    best = generate_best(gpt, aligner, UTTERANCES, sampling)
    assert best.ended.tolist() == [True, retries >= 2, False, True]
    assert best.num_retries.tolist() == [0, min(retries, 2), retries, 0]
    streams = [stream for call in drawn for stream in call]
    assert len(streams) == len(set(streams)) == count * (4 + min(retries, 2) + retries)
    again = generate_best(gpt, aligner, UTTERANCES, sampling)
    assert rows(again) == rows(best)
    first = generate_best(gpt, aligner, UTTERANCES, replace(sampling, retries=0))
    for item in (0, 2, 3):  # what ended at once stays, and what never ends is the first draw
        assert rows(best)[item] == rows(first)[item]
    alone = generate_best(gpt, aligner, UTTERANCES[1:2], sampling, first=1)
    assert rows(alone)[0] == rows(best)[1]


def test_no_utterance_is_an_error(parts):
    with pytest.raises(ValueError, match="at least one utterance"):
        generate_best(*parts, [], SAMPLING)


@pytest.mark.parametrize(("name", "least"), [("candidates", 1), ("retries", 0)])
def test_fewer_draws_than_can_be_are_refused(name, least):
    with pytest.raises(ValueError, match=f"{name} must be at least {least}, but is {least - 1}"):
        SamplingConfig(**{name: least - 1})
