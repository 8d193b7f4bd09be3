"""Losses of single clips with their own text and with others."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gsv2.data.corpus.decode import Clip
from gsv2.evaluation.cleaning.text_gains import NUM_OTHERS, TextGains
from gsv2.models.component import save_component
from gsv2.stages.gpt import GPTStage
from tests.support.tiny_aligner import save_aligner
from tests.support.tiny_gpt import V, make_config, save_quantizer

CPU = torch.device("cpu")


def make_gpt(folder: Path, reading: str) -> tuple[Path, Path, GPTStage]:
    """Write an untrained GPT and its aligner."""
    quantizer = save_quantizer(folder / "quantizer.safetensors")
    config = make_config(quantizer)
    hash_ = GPTStage(config, CPU).quantizer_hash
    aligner = folder / "aligner.safetensors"
    fingerprint = save_aligner(aligner, hash_, codebook_size=V).fingerprint()
    gpt = replace(config.model.gpt, reading=reading)
    section = replace(config.model, gpt=gpt, aligner=str(aligner))
    stage = GPTStage(replace(config, model=section), CPU)
    provenance = {"quantizer": hash_, "aligner": fingerprint}
    file = folder / "gpt.safetensors"
    values = asdict(stage.model.config)
    save_component(file, stage.model, kind="gpt", config=values, provenance=provenance)
    return file, aligner, stage


def clips(texts: list[str], frames: list[int]) -> list[Clip]:
    rng = np.random.default_rng(0)
    return [
        Clip(n, f"clip{n}", "en/a", text, "en", "ann", codes=rng.integers(V, size=(2, T)))
        for n, (text, T) in enumerate(zip(texts, frames, strict=True))
    ]


def test_figures_are_the_losses_of_the_clip_alone_with_each_text(tmp_path):
    gpt, aligner, stage = make_gpt(tmp_path, "attention")
    texts = ["one", "two", "three", "one"]
    batch = clips(texts, [5, 7, 9, 6])
    found = TextGains(gpt, aligner, CPU).measure(batch)
    stage.model.eval()

    def nats(clip: Clip, text: str) -> float:
        from gsv2.models.gpt.model import GPTInputs

        tokens = stage.model.text_encoder.tokenize([text])
        codes = torch.from_numpy(clip.codes)[None]
        lengths = torch.tensor([codes.shape[2]])
        with torch.no_grad():
            output = stage.model(GPTInputs(*tokens, codes, lengths, torch.zeros(1, dtype=int)))
        losses = [
            torch.nn.functional.cross_entropy(logits, targets, reduction="sum")
            for logits, targets in zip(output.logits, output.targets, strict=True)
        ]
        return float(sum(losses))

    for clip, of in zip(batch, found, strict=True):
        others = sorted(set(texts) - {clip.text})
        assert of.frames == clip.codes.shape[1]
        assert of.nats == pytest.approx(nats(clip, clip.text), rel=1e-4)
        wanted = sorted(nats(clip, text) for text in others)
        assert sorted(of.other_nats) == pytest.approx(wanted, rel=1e-4)


def test_a_clip_is_compared_with_so_many_others_as_its_batch_has(tmp_path):
    gpt, aligner, _ = make_gpt(tmp_path, "attention")
    gains = TextGains(gpt, aligner, CPU)
    many = clips([f"text {n}" for n in range(12)], [4] * 12)
    assert {len(of.other_nats) for of in gains.measure(many)} == {NUM_OTHERS}
    assert [len(of.other_nats) for of in gains.measure(many[:1])] == [0]


def test_texts_of_a_pointer_are_all_aligned_and_one_that_cannot_be_has_no_figures(tmp_path):
    gpt, aligner, _ = make_gpt(tmp_path, "pointer")
    gains = TextGains(gpt, aligner, CPU)
    long = "a text with many more characters than half frames"
    found = gains.measure(clips(["one", "two", long], [9, 9, 9]))
    assert found[2] is None
    assert [len(of.other_nats) for of in found[:2]] == [1, 1]
    with pytest.raises(ValueError, match="reads by a pointer: name its aligner by --aligner"):
        TextGains(gpt, None, CPU)
    save_aligner(aligner, gains.quantizer, codebook_size=V, seed=1)
    with pytest.raises(ValueError, match=r"must be the one that GPT .* was trained with"):
        TextGains(gpt, aligner, CPU)
