"""The stage of preferences; references are torch's log-probabilities and the GPT's own stage."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from gsv2.config import config_to_dict
from gsv2.models.component import save_component
from gsv2.models.gpt.model import GPTInputs
from gsv2.stages.dpo import DPOModelSection, DPORunConfig, DPOStage
from gsv2.stages.gpt import GPTStage
from gsv2.stages.gpt_start import GPTInitConfig
from tests.support.hand_made_batches import no_clips
from tests.support.tiny_aligner import save_aligner
from tests.support.tiny_gpt import V, code_batch, make_config, save_quantizer

CPU = torch.device("cpu")
BATCH: dict[str, Any] = {
    "num_frames": [6, 9, 7], "sequence": [0, 0, 1], "texts": ("one", "two", "три"),
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A quantizer, and a GPT on its codes that has learnt a little."""
    made = tmp_path_factory.mktemp("dpo")
    torch.manual_seed(0)
    gpt = GPTStage(make_config(save_quantizer(made / "quantizer.safetensors")), CPU)
    with torch.no_grad():
        for parameter in gpt.model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    provenance = gpt.trainables["gpt"].provenance
    config = config_to_dict(gpt.model.config)
    file = made / "gpt.safetensors"
    save_component(file, gpt.model, kind="gpt", config=config, provenance=provenance)
    return made


def dpo_config(folder: Path, **model: Any) -> DPORunConfig:
    gpt = make_config(folder / "quantizer.safetensors")
    fields = {name: getattr(gpt, name) for name in asdict(gpt) if name not in ("model", "init")}
    section = DPOModelSection(quantizer=gpt.model.quantizer, gpt=gpt.model.gpt, **model)
    init = GPTInitConfig(gpt=str(folder / "gpt.safetensors"))
    return DPORunConfig(**{**fields, "stage": "dpo"}, model=section, init=init)


def make_stage(folder: Path, **model: Any) -> DPOStage:
    stage = DPOStage(dpo_config(folder, **model), CPU)
    stage.initialise([])
    return stage


def test_it_begins_at_the_loss_of_a_coin_and_learns_to_prefer(folder):
    stage = make_stage(folder, min_span_sec=0.08, max_span_sec=0.16)
    batch = code_batch(**BATCH)
    assert stage.num_targets(batch) == {"gpt": 2}
    first = next(stage.updates(batch, 1))
    assert float(first.loss.detach()) == pytest.approx(math.log(2), abs=1e-4)
    optimizer = stage.trainables["gpt"].optimizer
    for step in range(15):
        for update in stage.updates(batch, step):
            update.loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    last = next(stage.updates(batch, 16))
    assert float(last.loss.detach()) < 0.2
    assert float(last.metrics["gpt/preferred"]) == 1
    assert float(last.metrics["gpt/margin"]) > 1


def test_log_probabilities_are_those_of_the_last_clips_with_their_ends(folder):
    stage = make_stage(folder)
    stage.gpt.model.eval()
    batch = code_batch(**BATCH)
    rejected = stage.reject(batch)
    for of in (batch, rejected):
        found = stage._log_probs(stage.reference, of)
        tokens = stage.gpt.model.text_encoder.tokenize(of.texts)
        output = stage.reference(GPTInputs(*tokens, of.codes, of.code_lengths, of.sequence))
        expected = [0.0, 0.0]
        for k, (logits, targets) in enumerate(zip(output.logits, output.targets, strict=True)):
            losses = F.cross_entropy(logits, targets, reduction="none")
            parts = losses.split((of.code_lengths + (k == 0)).tolist())
            expected = [expected[0] - float(parts[1].sum()), expected[1] - float(parts[2].sum())]
        assert found.tolist() == pytest.approx(expected, rel=1e-4)
    assert torch.equal(rejected.codes[0, :, :6], batch.codes[0, :, :6]), "a prompt stays"
    assert rejected.code_lengths[0] == 6
    assert rejected.code_lengths[1:].tolist() != [9, 7]


def test_the_reference_stays_and_is_asked_once_a_sequence(folder):
    stage = make_stage(folder)
    asked = []
    stage.reference.register_forward_pre_hook(lambda *_: asked.append(1))
    before = {name: value.clone() for name, value in stage.reference.state_dict().items()}
    batch = code_batch(**BATCH)
    losses = []
    for step in range(3):
        (update,) = stage.updates(batch, step)
        update.loss.backward()
        stage.trainables["gpt"].optimizer.step()
        losses.append(float(update.loss.detach()))
    assert len(asked) == 2, "chosen and rejected codes, once"
    torch.testing.assert_close(stage.reference.state_dict(), before, rtol=0, atol=0)
    assert losses[0] != losses[2]


def test_no_clips_give_zero_and_a_gradient_and_validation_keeps_the_gpts_figures(folder):
    stage = make_stage(folder)
    (update,) = stage.updates(no_clips(), step=1)
    update.loss.backward()
    assert float(update.loss.detach()) == 0
    assert all(p.grad is not None for p in stage.gpt.model.parameters() if p.requires_grad)
    assert stage.num_targets(no_clips()) == {"gpt": 0}
    found = stage.validate(code_batch(**BATCH))
    assert found["gpt/codes/nats_per_frame"].weight == 9 + 7
    assert float(found["gpt/loss"]) == pytest.approx(math.log(2), abs=1e-4)
    assert stage.flops(code_batch(**BATCH))["gpt"] > 0


def test_a_pointer_goes_through_the_whole_text_of_rejected_codes(tmp_path):
    """Its moves are no part of the preference, and its parameters have gradients all the same."""
    quantizer = save_quantizer(tmp_path / "quantizer.safetensors")
    config = make_config(quantizer)
    hash_ = GPTStage(config, CPU).quantizer_hash
    save_aligner(tmp_path / "aligner.safetensors", hash_, codebook_size=V)
    pointing = replace(
        config.model,
        gpt=replace(config.model.gpt, reading="pointer"),
        aligner=str(tmp_path / "aligner.safetensors"),
    )
    gpt = GPTStage(replace(config, model=pointing), CPU)
    about = {"config": config_to_dict(gpt.model.config)}
    provenance = gpt.trainables["gpt"].provenance
    save_component(
        tmp_path / "gpt.safetensors", gpt.model, kind="gpt", provenance=provenance, **about
    )
    spans = {"min_span_sec": 0.08, "max_span_sec": 0.16}
    config = dpo_config(tmp_path, aligner=pointing.aligner, **spans)
    model = replace(config.model, gpt=pointing.gpt)
    stage = DPOStage(replace(config, model=model), CPU)
    assert "align" in stage.members
    stage.initialise([])
    alignments = torch.tensor([[0, 0, 1, 1, 2, 2, -1, -1, -1], [0, 0, 0, 1, 1, 1, 2, 2, 2]])
    alignments = torch.cat([alignments, torch.tensor([[0, 1, 2, 3, 3, 4, 4, -1, -1]])])
    batch = code_batch(**BATCH, alignments=alignments)
    rejected = stage.reject(batch)
    for clip, length in ((1, 9), (2, 7)):
        said = rejected.alignments[clip, : rejected.code_lengths[clip]]
        assert (said.diff() >= 0).all()
        assert set(said.tolist()) <= set(alignments[clip, :length].tolist())
        assert said[0] == 0
    assert torch.equal(rejected.alignments[0, :6], alignments[0, :6]), "a prompt stays"
    (update,) = stage.updates(batch, 1)
    assert float(update.loss.detach()) == pytest.approx(math.log(2), abs=1e-4)
    update.loss.backward()
    assert all(p.grad is not None for p in stage.gpt.model.parameters())
    assert not stage.gpt.model.pointer.advance.output.weight.grad.any()


def test_what_cannot_be_preferred_is_refused_by_name(folder):
    config = dpo_config(folder)
    with pytest.raises(ValueError, match=r"init.gpt must name the GPT to begin from"):
        DPOStage(replace(config, init=GPTInitConfig()), CPU)
    for values, message in (
        ({"beta": 0.0}, "model.beta must be above 0"),
        ({"faults": ("loud",)}, "model.faults must be of dropped, repeated, truncated"),
        ({"min_span_sec": 2.0}, "model.max_span_sec must be at least model.min_span_sec"),
        ({"gpt": replace(config.model.gpt, depth_frames=0.5)}, "depth_frames must be 1"),
    ):
        with pytest.raises(ValueError, match=message):
            replace(config.model, **values)
