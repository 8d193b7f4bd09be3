"""The waveform stage whose content encoder reads the text beside codes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from gsv2.stages import members_of
from gsv2.stages.vits2 import VITS2Stage
from tests.support import tiny_joint
from tests.support.hand_made_batches import no_clips
from tests.support.tiny_live_quantizer import audio, live_config
from tests.support.tiny_vits2 import TINY, make_batch, make_config, make_run_stage

TOLD = {**TINY["generator"], "content_text": {"num_layers": 1, "text_dropout": 0.0}}
TEXTS = ("tone", "a", "b")


def make_stage(folder: Path) -> VITS2Stage:
    return make_run_stage(folder, {"start_step": 99}, generator=TOLD)


def test_the_text_of_the_stream_trains_with_the_codes(tmp_path: Path) -> None:
    stage = make_stage(tmp_path)
    text = stage.trainables["generator"].module.content_encoder.text
    torch.nn.init.normal_(text.attention.out_proj.weight)
    losses = []
    for texts in (TEXTS, ("no", "other", "words")):
        torch.manual_seed(0)
        (update,) = stage.updates(replace(make_batch(), texts=texts), 1)
        update.loss.backward()
        assert [name for name, p in text.named_parameters() if p.grad is None] == []
        losses.append(update.metrics["generator/kl"].item())
    assert losses[0] != losses[1]


def test_a_validation_speaks_codes_with_their_text(tmp_path: Path) -> None:
    stage = make_stage(tmp_path)
    model = stage.trainables["generator"].module.eval()
    torch.nn.init.normal_(model.content_encoder.text.attention.out_proj.weight)
    figures = [
        stage.validate(replace(make_batch(), texts=texts)) for texts in (TEXTS, ("no", "a", "b"))
    ]
    names = {"generator/mel_through_codes", "generator/mel_through_posterior"}
    assert all(set(of) == names for of in figures)
    through = [of["generator/mel_through_codes"].item() for of in figures]
    assert through[0] != through[1]


def test_a_batch_without_a_clip_runs_every_parameter(tmp_path: Path) -> None:
    stage = make_stage(tmp_path)
    (update,) = stage.updates(no_clips(), 1)
    update.loss.backward()
    parameters = stage.trainables["generator"].module.named_parameters()
    assert [name for name, p in parameters if p.grad is None] == []
    assert update.loss.item() == 0


def test_codes_of_a_quantizer_that_trains_are_told_too(tmp_path: Path) -> None:
    stage = VITS2Stage(live_config(tmp_path, generator=TOLD), torch.device("cpu"))
    stage.initialise([audio()] * 3)
    update = next(stage.updates(replace(audio(), texts=TEXTS), 1))
    update.loss.backward()
    text = stage.trainables["generator"].module.content_encoder.text
    assert text.attention.out_proj.weight.grad.abs().sum() > 0


def test_vectors_are_read_of_the_corpus_where_they_are_what_is_told(tmp_path: Path) -> None:
    """In the joint stage too, whose GPT reads bytes, and once where both read them."""
    vectors = {**TOLD, "content_text": {"encoder": "bge-m3"}}
    config = make_config(tmp_path / "quantizer", model={**TINY, "quantizer": "q"})
    assert members_of(config) == ("audio", "codes")
    told = make_config(tmp_path / "q", model={**TINY, "quantizer": "q", "generator": vectors})
    assert members_of(told) == ("audio", "codes", "text_vectors")
    joint = tiny_joint.make_config(tmp_path / "quantizer")
    assert members_of(joint) == ("audio", "codes")
    for name in ("bytes", "bge-m3"):
        gpt = replace(joint.model.gpt, text_encoder=name)
        model = replace(joint.model, generator=told.model.generator, gpt=gpt)
        assert members_of(replace(joint, model=model)) == ("audio", "codes", "text_vectors")
