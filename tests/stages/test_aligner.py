from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gsv2.config import load_config
from gsv2.data.stream.batch import Batch
from gsv2.models.aligner.flops import aligner_flops_per_frame
from gsv2.models.aligner.model import Aligner
from gsv2.stages.aligner import AlignerRunConfig, AlignerStage
from gsv2.training.optim import OptimConfig
from tests.support.hand_made_batches import no_clips
from tests.support.tiny_aligner_stage import make_config
from tests.support.tiny_gpt import V, code_batch, save_quantizer

CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "aligner"
CPU = torch.device("cpu")


@pytest.fixture
def stage(tmp_path: Path) -> AlignerStage:
    torch.manual_seed(0)
    stage = AlignerStage(make_config(save_quantizer(tmp_path / "quantizer.safetensors")), CPU)
    stage.initialise([make_batch()])
    return stage


def make_batch(texts: tuple[str, ...] = ("one", "नमस्ते", "今天 hi")) -> Batch:
    """Return clips of 6, 4 and 9 frames; the second has more characters than frames."""
    return code_batch([6, 4, 9], sequence=[0, 0, 1], texts=texts)


def clip_of(batch: Batch, i: int) -> Batch:
    assert batch.codes is not None
    assert batch.code_lengths is not None
    return replace(
        batch,
        keys=batch.keys[i : i + 1],
        texts=batch.texts[i : i + 1],
        sequence=torch.zeros(1, dtype=torch.int64),
        codes=batch.codes[i : i + 1],
        code_lengths=batch.code_lengths[i : i + 1],
    )


def test_an_update_reports_its_loss_and_validation_the_errors_of_reading(stage) -> None:
    (update,) = stage.updates(make_batch(), step=1)
    assert set(update.metrics) == {"aligner/loss", "aligner/unalignable"}
    assert stage.num_targets(make_batch()) == {"aligner": 3 + 6 + 5}
    metrics = stage.validate(make_batch())
    assert set(metrics) == {"aligner/loss", "aligner/unalignable", "aligner/char_errors"}
    torch.testing.assert_close(metrics["aligner/loss"], update.metrics["aligner/loss"])
    assert float(metrics["aligner/unalignable"]) == 0


def test_weighted_micro_batches_make_the_figures_of_one_batch(stage) -> None:
    batch = make_batch(("one", "far too long a text", "今天 hi"))
    whole = stage.validate(batch)
    for term, value in whole.items():
        parts = [clip_of(batch, i) for i in range(3)]
        mean = (
            sum(stage.validate(part)[term] * stage.num_targets(part)["aligner"] for part in parts)
            / stage.num_targets(batch)["aligner"]
        )
        torch.testing.assert_close(torch.as_tensor(mean), value)


def test_training_lowers_the_loss_until_the_codes_are_read(stage) -> None:
    trainable, batch = stage.trainables["aligner"], make_batch()
    for step in range(120):
        for update in stage.updates(batch, step):
            update.loss.backward()
            trainable.optimizer.step()
            trainable.optimizer.zero_grad()
    assert float(stage.validate(batch)["aligner/char_errors"]) < 0.1


def test_clips_that_cannot_be_aligned_are_named_once_counted_and_not_learnt(stage, caplog) -> None:
    batch = make_batch(("one", "far too long a text", "今天 hi"))
    with caplog.at_level(logging.WARNING):
        (update,) = stage.updates(batch, step=1)
        stage.validate(batch)
    (warning,) = [r.getMessage() for r in caplog.records if r.name == "gsv2.stages.aligner"]
    assert "clip1 needs at most 2 characters to a code frame, but has 19 for 4" in warning
    assert float(update.metrics["aligner/unalignable"]) == pytest.approx(19 / 27)
    others = [clip_of(batch, i) for i in (0, 2)]
    nats = sum(float(next(stage.updates(b, 1)).loss.detach()) * len(b.texts[0]) for b in others)
    assert float(update.loss.detach()) * 27 == pytest.approx(nats, rel=1e-4)


@pytest.mark.parametrize(
    "batch", [no_clips(), clip_of(make_batch(("a", "far too long a text", "b")), 1)]
)
def test_nothing_to_learn_gives_zero_and_a_gradient_for_every_parameter(stage, batch) -> None:
    (update,) = stage.updates(batch, step=1)
    update.loss.backward()
    assert float(update.loss.detach()) == 0
    gradients = [p.grad for p in stage.trainables["aligner"].module.parameters()]
    assert all(g is not None and not g.any() for g in gradients)
    assert torch.isfinite(stage.validate(batch)["aligner/char_errors"])


@pytest.mark.parametrize("texts", [("one", "two", "three"), ("one one", "नमस्ते", "0123456789")])
def test_every_parameter_has_a_gradient_at_either_rate(stage, texts) -> None:
    (update,) = stage.updates(make_batch(texts), step=1)
    update.loss.backward()
    parameters = dict(stage.trainables["aligner"].module.named_parameters())
    assert all(p.grad is not None for p in parameters.values())


def test_the_aligner_takes_the_shape_entries_and_hash_of_the_quantizer(stage) -> None:
    trainable = stage.trainables["aligner"]
    assert trainable.kind == "aligner"
    assert trainable.config["codes"]["codebook_size"] == V
    assert trainable.provenance == {"quantizer": stage.quantizer_hash}
    assert isinstance(trainable.module, Aligner)
    assert trainable.module.audio_input.vectors.codebooks.any()


def test_the_first_texts_are_counted_and_what_is_too_rare_is_said(stage, caplog) -> None:
    batches = [make_batch(("aab", "ba", "c")), make_batch(("x", "y", "z"))]
    second_epoch = replace(batches[1], epoch=1)
    with caplog.at_level(logging.INFO):
        stage.initialise([batches[0], second_epoch])
    assert "3 different characters in 3 clips" in caplog.text
    known = [chr(p) for p in stage.model.vocabulary.points.tolist() if p >= 0]
    assert known == ["a", "b", "c"]
    many = make_batch(("".join(map(chr, range(48, 48 + 40))), "0", "1"))
    with caplog.at_level(logging.WARNING):
        stage.initialise([many])
    assert "vocabulary_size is 32: the 8 rarest characters (19.05 % of the text)" in caplog.text
    with pytest.raises(ValueError, match="must hold a text to start from"):
        stage.initialise([no_clips()])


def test_an_optimizer_for_something_else_is_refused(tmp_path: Path) -> None:
    config = make_config(save_quantizer(tmp_path / "quantizer.safetensors"))
    with pytest.raises(ValueError, match="optim must have aligner only"):
        AlignerStage(replace(config, optim={"gpt": OptimConfig()}), CPU)


def test_work_counts_frames_and_audio_and_doubled_frames_cost_more(stage) -> None:
    workload = stage.workload(make_batch())
    assert workload.tokens == 19
    assert list(workload.samples) == [6 * 1280, 4 * 1280, 9 * 1280]  # 25 of 32 kHz a second
    whole, halved = aligner_flops_per_frame(stage.model.config)
    assert stage.flops(make_batch())["aligner"] == 15 * whole + 4 * halved


def test_the_shipped_config_loads() -> None:
    config = load_config(CONFIGS / "debug.yaml", [], {"aligner": AlignerRunConfig})
    assert isinstance(config, AlignerRunConfig)
    count = sum(p.numel() for p in Aligner(config.model.aligner).parameters())
    assert 1e6 < count < 2e6
