"""Figures of a validation; the reference is the loss of batches that hold one kind of clips."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from gsv2.data.stream.batch import Batch
from gsv2.stages.gpt import GPTStage
from gsv2.training.distributed.ranks import Distributed
from gsv2.training.stage import Figure
from gsv2.training.validation import validate
from tests.support.hand_made_batches import no_clips
from tests.support.tiny_gpt import code_batch, make_config, save_quantizer

CPU = torch.device("cpu")


@pytest.fixture
def stage(tmp_path):
    torch.manual_seed(0)
    made = GPTStage(make_config(save_quantizer(tmp_path / "quantizer.safetensors")), CPU)
    with torch.no_grad():
        for parameter in made.model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    made.model.eval()
    return made


def make_batch() -> Batch:
    batch = code_batch([3, 5, 4, 2], sequence=[0, 0, 1, 2], texts=("one", "two", "три", "vier"))
    return replace(batch, languages=("en", "en", "ru", "de"))


def test_nats_by_language_and_by_prompts_add_up_to_those_of_the_batch(stage):
    found = stage.validate(make_batch())
    for kind, labels in (("language", ("en", "ru", "de")), ("prompts", (0, 1))):
        parts = [found[f"gpt/{kind}/{label}/nats_per_frame"] for label in labels]
        assert all(isinstance(part, Figure) for part in parts)
        assert sum(part.weight for part in parts) == 14
        total = sum(float(part.value) * part.weight for part in parts) / 14
        assert total == pytest.approx(float(found["gpt/nats_per_frame"]), rel=1e-5)
    assert found["gpt/prompts/1/nats_per_frame"].weight == 5
    alone = replace(
        code_batch([3, 5, 4, 2], sequence=[0, 0, 1, 2]), languages=("en",) * 4, texts=("x",) * 4
    )
    one = stage.validate(alone)
    assert float(one["gpt/language/en/nats_per_frame"].value) == pytest.approx(
        float(one["gpt/nats_per_frame"]), rel=1e-5
    )


def test_ends_have_a_precision_and_a_recall(stage):
    found = stage.validate(make_batch())
    assert found["gpt/end_recall"].weight == 4
    with torch.no_grad():
        stage.model.head.classifiers[0].weights.bias[stage.model.end] += 1e4
    always = stage.validate(make_batch())
    assert float(always["gpt/end_recall"].value) == 1
    assert float(always["gpt/end_precision"].value) == pytest.approx(4 / 18)
    assert always["gpt/end_precision"].weight == 18


def test_the_last_clips_alone_are_counted_where_they_alone_are_learnt(tmp_path):
    file = save_quantizer(tmp_path / "quantizer.safetensors")
    stage = GPTStage(make_config(file, loss_clips="last"), CPU)
    found = stage.validate(make_batch())
    assert found["gpt/prompts/0/nats_per_frame"].weight == 4 + 2
    assert found["gpt/prompts/1/nats_per_frame"].weight == 5


def test_a_validation_weighs_figures_by_their_own_targets(stage):
    batches = [make_batch(), no_clips()]
    figures = validate(stage, batches, Distributed(), seed=0)
    alone = stage.validate(make_batch())
    for term in ("end_recall", "language/ru/nats_per_frame"):
        assert figures[f"validation/gpt/{term}"] == pytest.approx(float(alone[f"gpt/{term}"].value))
