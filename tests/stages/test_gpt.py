from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gsv2.config import load_config
from gsv2.data.stream.batch import Batch
from gsv2.losses.code_prediction import code_prediction_loss
from gsv2.models.gpt.interleave import interleave
from gsv2.models.gpt.model import GPTInputs, SemanticGPT
from gsv2.stages.gpt import GPTStage
from gsv2.stages.gpt_config import GPTRunConfig
from gsv2.training.optim import OptimConfig
from tests.support.hand_made_batches import no_clips
from tests.support.tiny_gpt import V, code_batch, make_config, save_quantizer

CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "gpt"
CPU = torch.device("cpu")
TERMS = {"loss", "loss_end", "nats_per_frame"} | {
    f"{term}_{k}" for term in ("loss", "top1", "top10") for k in range(2)
}


@pytest.fixture
def quantizer_file(tmp_path: Path) -> Path:
    return save_quantizer(tmp_path / "quantizer.safetensors")


def make_batch() -> Batch:
    """Return two sequences, of clips with 3 and 5 frames, and 4."""
    return code_batch([3, 5, 4], sequence=[0, 0, 1], texts=("one", "two", "три"))


def test_an_update_reports_every_term_per_codebook(quantizer_file):
    stage = GPTStage(make_config(quantizer_file), CPU)
    (update,) = stage.updates(make_batch(), step=1)
    assert update.trainable == "gpt"
    assert set(update.metrics) == {f"gpt/{term}" for term in TERMS}
    assert all(torch.isfinite(value) for value in update.metrics.values())
    assert stage.num_targets(make_batch()) == {"gpt": 12}


def batch_of(batch: Batch, clips: slice) -> Batch:
    assert batch.codes is not None
    assert batch.code_lengths is not None
    return replace(
        batch,
        keys=batch.keys[clips],
        texts=batch.texts[clips],
        sequence=batch.sequence[clips] - batch.sequence[clips][0],
        codes=batch.codes[clips],
        code_lengths=batch.code_lengths[clips],
    )


def test_weighted_micro_batches_make_the_loss_of_one_batch(quantizer_file):
    stage = GPTStage(make_config(quantizer_file), CPU)
    batch = make_batch()
    (whole,) = stage.updates(batch, step=1)
    parts = [batch_of(batch, slice(0, 2)), batch_of(batch, slice(2, 3))]
    mean = sum(
        next(stage.updates(part, step=1)).loss * stage.num_targets(part)["gpt"] / 12
        for part in parts
    )
    torch.testing.assert_close(mean, whole.loss)


def test_training_lowers_the_loss_that_validation_reports(quantizer_file):
    torch.manual_seed(0)
    stage = GPTStage(make_config(quantizer_file), CPU)
    trainable = stage.trainables["gpt"]
    before = float(stage.validate(make_batch())["gpt/loss"])
    for step in range(15):
        for update in stage.updates(make_batch(), step):
            update.loss.backward()
            trainable.optimizer.step()
            trainable.optimizer.zero_grad()
    after = stage.validate(make_batch())
    assert {f"gpt/{term}" for term in (*TERMS, "text_gain", "end_recall")} <= set(after)
    assert float(after["gpt/loss"]) < 0.7 * before


def test_a_batch_without_clips_gives_zero_and_a_gradient_for_every_parameter(quantizer_file):
    stage = GPTStage(make_config(quantizer_file), CPU)
    (update,) = stage.updates(no_clips(), step=1)
    update.loss.backward()
    assert float(update.loss.detach()) == 0
    gradients = [p.grad for p in stage.trainables["gpt"].module.parameters()]
    assert all(g is not None and not g.any() for g in gradients)
    assert stage.num_targets(no_clips()) == {"gpt": 0}
    assert float(stage.validate(no_clips())["gpt/loss"]) == 0


def test_the_gpt_takes_the_shape_entries_and_hash_of_the_quantizer(quantizer_file):
    stage = GPTStage(make_config(quantizer_file), CPU)
    trainable = stage.trainables["gpt"]
    assert trainable.config["codes"]["codebook_size"] == V
    assert trainable.provenance == {"quantizer": stage.quantizer_hash}
    model = trainable.module
    assert isinstance(model, SemanticGPT)
    assert model.head.entries.any()
    assert model.audio_input.vectors.codebooks.any()


def test_an_optimizer_for_something_else_is_refused(quantizer_file):
    config = replace(make_config(quantizer_file), optim={"generator": OptimConfig()})
    with pytest.raises(ValueError, match="optim must have gpt only"):
        GPTStage(config, CPU)


@pytest.mark.parametrize("pattern", ["depth", "delay", "parallel", "flatten", "nar"])
def test_the_loss_of_last_clips_is_theirs_out_of_the_predictions_of_all(quantizer_file, pattern):
    torch.manual_seed(0)
    stage = GPTStage(make_config(quantizer_file, pattern, loss_clips="last"), CPU)
    batch = make_batch()
    (update,) = stage.updates(batch, step=1)
    tokens = stage.model.text_encoder.tokenize(batch.texts)
    output = stage.model(GPTInputs(*tokens, batch.codes, batch.code_lengths, batch.sequence))
    is_last = torch.tensor([False, True, True])
    chosen = [is_last.repeat_interleave(batch.code_lengths + (k == 0)) for k in range(2)]
    loss, metrics = code_prediction_loss(
        [logits[which] for logits, which in zip(output.logits, chosen, strict=True)],
        [targets[which] for targets, which in zip(output.targets, chosen, strict=True)],
        stage.weights,
        stage.model.end,
    )
    torch.testing.assert_close(update.loss, loss)
    for term, value in metrics.items():
        torch.testing.assert_close(update.metrics[f"gpt/{term}"], value)
    assert stage.num_targets(batch) == {"gpt": 5 + 4}
    update.loss.backward()
    assert all(p.grad is not None for p in stage.model.parameters())


@pytest.mark.parametrize("name", ["debug", "attention_debug", "small", "base"])
def test_shipped_configs_load(name):
    config = load_config(CONFIGS / f"{name}.yaml", [], {"gpt": GPTRunConfig})
    assert isinstance(config, GPTRunConfig)
    assert config.model.loss_clips == "all"
    with torch.device("meta"):
        model = SemanticGPT(config.model.gpt)
    count = sum(parameter.numel() for parameter in model.parameters())
    debug, small, base = (1e6, 2.5e6), (8e6, 10e6), (0.31e9, 0.33e9)
    sizes = {"debug": debug, "attention_debug": debug, "small": small, "base": base}
    expected = sizes[name]
    assert expected[0] < count < expected[1]


def test_a_workload_counts_tokens_and_audio_and_no_padding(quantizer_file):
    stage = GPTStage(make_config(quantizer_file), CPU)
    batch = make_batch()
    rows = interleave(
        torch.tensor([3, 3, 6]), stage.model.pattern.num_code_steps(batch.code_lengths),
        batch.sequence,
    )  # fmt: skip
    workload = stage.workload(batch)
    assert workload.tokens == int(rows.mask.sum())
    assert list(workload.samples) == [3 * 1280, 5 * 1280, 4 * 1280]  # 25 codes of 32 kHz a second


def test_flops_of_a_batch_are_those_of_its_sequences(quantizer_file):
    for loss_clips in ("all", "last"):
        stage = GPTStage(make_config(quantizer_file, loss_clips=loss_clips), CPU)
        together = stage.flops(make_batch())["gpt"]
        apart = [batch_of(make_batch(), clips) for clips in (slice(0, 2), slice(2, 3))]
        apart[1] = replace(apart[1], sequence=torch.zeros(1, dtype=torch.int64))
        assert together == sum(stage.flops(batch)["gpt"] for batch in apart)


def test_learning_the_last_clip_alone_costs_less(quantizer_file):
    costs = [
        GPTStage(make_config(quantizer_file, loss_clips=clips), CPU).flops(make_batch())["gpt"]
        for clips in ("all", "last")
    ]
    assert 0 < costs[1] < costs[0]
