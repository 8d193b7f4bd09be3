"""Listening test of the GPT: what is counted, of which sentences, on how many ranks."""

from __future__ import annotations

import zlib
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gsv2.config import config_to_dict
from gsv2.data.stream.batch import Batch
from gsv2.inference.generate import GeneratedCodes
from gsv2.models.component import save_component
from gsv2.models.gpt.model import GPTConfig, SemanticGPT
from gsv2.stages import gpt_listening
from gsv2.stages.gpt import GPTStage
from gsv2.stages.gpt_listening import GPTListeningTest, HeldOutClip
from gsv2.training.validation import validate
from tests.support.hand_made_batches import no_clips
from tests.support.thread_ranks import run_ranks
from tests.support.tiny_aligner import CODES, CONFIG, make_aligner
from tests.support.tiny_gpt import _TINY, code_batch, make_config, save_quantizer

CPU = torch.device("cpu")
TEXTS = ("abc", "bcdef", "fed", "acegik", "hi", "lmno")


class CodeReader:
    """An aligner that reads code c of the first codebook as the letter number c."""

    def needs_halves(self, texts, lengths):
        return torch.zeros_like(lengths, dtype=torch.bool)

    def read(self, codes, lengths, is_doubled):
        return ["".join(chr(97 + c) for c in codes[0, 0, : int(lengths[0])].tolist())]


def codes_of(text: str) -> torch.Tensor:
    return torch.tensor([[ord(letter) - 97 for letter in text]] * 2)


def sentence(key: str, text: str = "abc", language: str = "en") -> HeldOutClip:
    return HeldOutClip(key, language, text, codes_of(text), torch.arange(len(text)))


def make_model(reading: str = "attention") -> SemanticGPT:
    torch.manual_seed(0)
    model = SemanticGPT(GPTConfig(backbone=_TINY, depth=_TINY, codes=CODES, reading=reading))
    model.set_codebooks(torch.randn(2, 16, 8))
    return model


def make_test(num_sentences: int = 8, reading: str = "attention", aligner=None):
    judge = aligner or make_aligner()
    return GPTListeningTest(make_model(reading), judge, num_sentences, lambda _: nullcontext())


def figures(test: GPTListeningTest, chosen: list[HeldOutClip]) -> dict[str, float]:
    return {name: total / weight for name, (total, weight) in test.hear(chosen, 0, 1).items()}


def speak_with(monkeypatch: pytest.MonkeyPatch, speak) -> None:
    """Let `generate` be a function of an utterance alone, whose first speech has no end."""

    def generate(model, utterances, sampling, streams):
        texts = [speak(utterance) for utterance in utterances]
        lengths = torch.tensor([len(text) for text in texts])
        codes = torch.full((len(texts), 2, int(lengths.max())), -1)
        for row, text in zip(codes, texts, strict=True):
            row[:, : len(text)] = codes_of(text)
        return GeneratedCodes(codes, lengths, torch.arange(len(texts)) > 0)

    monkeypatch.setattr(gpt_listening, "generate", generate)


def test_a_model_that_reads_has_no_errors_and_no_leak(monkeypatch):
    speak_with(monkeypatch, lambda utterance: utterance.text)
    chosen = [sentence(text, text) for text in TEXTS]
    assert figures(make_test(aligner=CodeReader()), chosen) == {
        "char_errors": 0.0,
        "char_errors_recorded": 0.0,
        "leak": 0.0,
        "ended": pytest.approx(5 / 6),
    }


def test_a_model_that_copies_its_prompt_is_found_out_by_the_leak(monkeypatch):
    speak_with(monkeypatch, lambda utterance: utterance.prompts[0].text)
    chosen = [sentence("1", "abc"), sentence("2", "xyz")]
    found = figures(make_test(aligner=CodeReader()), chosen)
    assert found["char_errors"] == found["leak"] == 1.0


def test_a_model_that_says_nothing_misses_every_character(monkeypatch):
    speak_with(monkeypatch, lambda utterance: "" if len(utterance.text) > 2 else "hi")
    found = figures(make_test(aligner=CodeReader()), [sentence("1", "abc"), sentence("2", "hi")])
    assert found["char_errors"] == pytest.approx(3 / 5)


def test_a_prompt_never_has_the_text_that_is_to_be_spoken(monkeypatch):
    prompts = {}
    speak_with(monkeypatch, lambda u: (prompts.setdefault(u.text, u.prompts) and u.text) or u.text)
    chosen = [sentence("1", "abc"), sentence("2", "abc"), sentence("3", "hi")]
    make_test(aligner=CodeReader()).hear(chosen, 0, 1)
    assert {text: [p.text for p in of] for text, of in prompts.items()} == {
        "abc": ["hi"],
        "hi": ["abc"],
    }
    prompts.clear()
    make_test(aligner=CodeReader()).hear(chosen[:2], 0, 1)
    assert prompts["abc"] == ()


@pytest.mark.parametrize("reading", ["attention", "pointer", "both"])
def test_parts_of_the_sentences_add_up_to_all_of_them(reading):
    """Whatever else is spoken in the same call, bit for bit: the random numbers are their own."""
    test = make_test(reading=reading, aligner=CodeReader())
    chosen = [sentence(text, text) for text in TEXTS]
    whole = test.hear(chosen, 0, 1)
    for parts in (2, 4):
        of_parts = [test.hear(chosen, part, parts) for part in range(parts)]
        for name, sums in whole.items():
            added = tuple(sum(part[name][i] for part in of_parts) for i in range(2))
            assert added == sums, (parts, name)
    assert test.hear(chosen[:1], 1, 2) == {}


@pytest.mark.parametrize("reading", ["attention", "both"])
def test_weights_that_an_engine_has_cut_are_spoken_by_a_copy(reading):
    test = make_test(reading=reading, aligner=CodeReader())
    chosen = [sentence(text, text) for text in TEXTS]
    whole = {name: p.clone() for name, p in test._model.named_parameters()}
    expected = test.hear(chosen, 0, 1)
    for parameter in test._model.parameters():
        parameter.data = parameter.new_zeros(parameter.shape)
    assert test.hear(chosen, 0, 1, whole) == expected
    assert test.hear(chosen, 0, 1) != expected


def test_the_choice_is_of_all_languages_and_the_same_however_the_ranks_have_cut_the_clips():
    offered = [
        sentence(f"{language}-{i}", language=language)
        for language, count in (("en", 30), ("de", 5), ("zh", 1))
        for i in range(count)
    ]
    test = make_test(num_sentences=7)
    chosen = [s.key for s in test.choose(offered)]
    assert sorted(key[:2] for key in chosen) == ["de"] * 3 + ["en"] * 3 + ["zh"]
    least = min(
        (s.key for s in offered if s.language == "en"), key=lambda k: zlib.crc32(k.encode())
    )
    assert least in chosen[:3]
    for world in (2, 3, 7):
        parts = [test.choose(offered[rank::world]) for rank in range(world)]
        together = test.choose([s for part in reversed(parts) for s in part])
        assert [s.key for s in together] == chosen


def test_sentences_of_a_batch_are_its_clips_without_padding():
    alignments = torch.tensor([[0, 1, 2, -1], [0, 0, 1, 2]])
    batch = code_batch([3, 4], [0, 0], texts=("one", "two"), alignments=alignments)
    first, second = make_test().candidates(batch)
    assert (first.key, first.text, second.text) == ("clip0", "one", "two")
    assert torch.equal(first.codes, batch.codes[0, :, :3])
    assert torch.equal(second.alignment, alignments[1])
    assert make_test().candidates(replace(batch, weight=0.0)) == []
    assert make_test().candidates(no_clips()) == []


def record(char_errors: float, loss: float) -> dict[str, float]:
    names = ("char_errors", "char_errors_recorded", "ended", "gpt/loss")
    return {f"validation/{n}": v for n, v in zip(names, (char_errors, 0.1, 1.0, loss), strict=True)}


def test_reading_that_gets_clearly_worse_while_the_loss_falls_is_warned_of():
    test = make_test()
    told = [test.review(record(*pair)) for pair in ((0.9, 5), (0.3, 4), (0.35, 3), (0.5, 4.5))]
    assert told == [None] * 4
    warning = test.review(record(0.5, 3.5))
    assert warning is not None
    assert "character errors 0.50 were 0.30, validation/gpt/loss 3.500 was 4.000" in warning
    assert test.review({"gpt/loss": 1.0}) is None


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Files of a quantizer and of an aligner of its codes."""
    folder = tmp_path_factory.mktemp("parts")
    quantizer = save_quantizer(folder / "quantizer.safetensors")
    stage = GPTStage(make_config(quantizer), CPU)
    aligner, values = folder / "aligner.safetensors", config_to_dict(CONFIG)
    provenance = {"quantizer": stage.quantizer_hash}
    save_component(aligner, make_aligner(), kind="aligner", config=values, provenance=provenance)
    return quantizer, aligner


def make_stage(parts: tuple[Path, Path], **model) -> GPTStage:
    torch.manual_seed(0)
    return GPTStage(make_config(parts[0], aligner=str(parts[1]), **model), CPU)


def make_batches() -> list[Batch]:
    return [
        code_batch(
            [4, 3, 5], [0, 0, 1], seed=k, micro_batch=k, keys=tuple(f"{k}{i}" for i in range(3)),
            texts=("one", f"number {k}", "three"),
        )
        for k in range(4)
    ]  # fmt: skip


def test_a_validation_has_the_figures_on_any_number_of_ranks(parts):
    stages = iter([make_stage(parts, validation_sentences=5) for _ in range(3)])

    def run(ranks):
        ranks.device = CPU
        batches = make_batches()[ranks.rank :: ranks.world]
        return validate(next(stages), batches, ranks, seed=0)

    (one,) = run_ranks(1, run)
    names = {"char_errors", "char_errors_recorded", "ended", "leak", "gpt/text_gain"}
    assert {f"validation/{name}" for name in names} <= one.keys()
    for of_rank in run_ranks(2, run):
        assert of_rank == pytest.approx(one, abs=1e-6)


def test_an_aligner_judges_attention_too_and_leaves_no_hash_in_it(parts):
    stage = make_stage(parts)
    assert stage.members == ("codes",)
    assert "aligner" not in stage.trainables["gpt"].provenance
    assert make_stage(parts, validation_sentences=0).listening_test is None
    assert GPTStage(make_config(parts[0]), CPU).listening_test is None
    with pytest.raises(ValueError, match=r"model\.validation_sentences must be at least 0"):
        make_stage(parts, validation_sentences=-1)
