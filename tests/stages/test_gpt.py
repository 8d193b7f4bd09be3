from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gsv2.audio.ssl import SpeechFeatures
from gsv2.config import config_to_dict, load_config
from gsv2.data.batch import Batch
from gsv2.data.schema import DataConfig, SourceConfig
from gsv2.models.backbone import BackboneConfig
from gsv2.models.component import save_component
from gsv2.models.gpt import GPTConfig, SemanticGPT
from gsv2.models.quantizer import Quantizer, QuantizerConfig
from gsv2.nn.codes import CodeConfig
from gsv2.stages.gpt import GPTModelSection, GPTRunConfig, GPTStage
from gsv2.training.optim import OptimConfig
from gsv2.training.run import RunSection
from gsv2.training.trainer import TrainerConfig

CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "gpt"
CPU = torch.device("cpu")
V = 16
TINY = BackboneConfig(dim=32, num_layers=1, num_heads=2, num_kv_heads=1, ffn_dim=48)
TERMS = {"loss", "loss_end", "nats_per_frame"} | {
    f"{term}_{k}" for term in ("loss", "top1", "top10") for k in range(2)
}


@pytest.fixture
def quantizer_file(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    config = QuantizerConfig(codes=CodeConfig(codebook_size=V, dim=8), width=8, num_blocks=1)
    quantizer = Quantizer(config)
    frames = SpeechFeatures(torch.randn(4, 40, 160), torch.ones(4, 40, dtype=torch.bool))
    quantizer.initialise([frames], frames_per_step=100)
    path = tmp_path / "quantizer.safetensors"
    save_component(
        path,
        quantizer,
        kind="quantizer",
        config=config_to_dict(config),
        provenance={"quantizer": quantizer.fingerprint()},
    )
    return path


def make_config(quantizer_file: Path, **model: object) -> GPTRunConfig:
    return GPTRunConfig(
        stage="gpt",
        run=RunSection(name="test"),
        data=DataConfig(sources=[SourceConfig(path="nowhere")], max_tokens=100),
        trainer=TrainerConfig(max_steps=10),
        model=GPTModelSection(
            quantizer=str(quantizer_file), gpt=GPTConfig(backbone=TINY, depth=TINY), **model
        ),
        optim={"gpt": OptimConfig(lr=1e-2)},
    )


def make_batch() -> Batch:
    torch.manual_seed(1)
    lengths = torch.tensor([3, 5, 4])
    codes = torch.randint(V, (3, 2, 5))
    codes[torch.arange(5) >= lengths[:, None, None].expand(3, 2, 1)] = -1
    return Batch(
        micro_batch=0,
        epoch=0,
        keys=("a", "b", "c"),
        speakers=("s", "s", "t"),
        languages=("en",) * 3,
        texts=("one", "two", "три"),
        sequence=torch.tensor([0, 0, 1]),
        codes=codes,
        code_lengths=lengths,
    )


def empty_batch() -> Batch:
    return Batch(
        micro_batch=0,
        epoch=0,
        keys=(),
        speakers=(),
        languages=(),
        texts=(),
        sequence=torch.zeros(0, dtype=torch.int64),
        weight=0.0,
    )


def test_an_update_reports_every_term_per_codebook(quantizer_file):
    stage = GPTStage(make_config(quantizer_file), CPU)
    (update,) = stage.updates(make_batch(), step=1)
    assert update.trainable == "gpt"
    assert set(update.metrics) == {f"gpt/{term}" for term in TERMS}
    assert all(torch.isfinite(value) for value in update.metrics.values())
    assert stage.num_targets(make_batch()) == {"gpt": 12}


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
    assert set(after) == {f"gpt/{term}" for term in TERMS}
    assert float(after["gpt/loss"]) < 0.7 * before


def test_a_batch_without_clips_gives_zero_and_a_gradient_for_every_parameter(quantizer_file):
    stage = GPTStage(make_config(quantizer_file), CPU)
    (update,) = stage.updates(empty_batch(), step=1)
    update.loss.backward()
    assert float(update.loss.detach()) == 0
    gradients = [p.grad for p in stage.trainables["gpt"].module.parameters()]
    assert all(g is not None and not g.any() for g in gradients)
    assert stage.num_targets(empty_batch()) == {"gpt": 0}
    assert float(stage.validate(empty_batch())["gpt/loss"]) == 0


def test_the_gpt_takes_the_shape_entries_and_hash_of_the_quantizer(quantizer_file):
    stage = GPTStage(make_config(quantizer_file), CPU)
    trainable = stage.trainables["gpt"]
    assert trainable.config["codes"]["codebook_size"] == V
    assert trainable.provenance == {"quantizer": stage.quantizer_hash}
    model = trainable.module
    assert isinstance(model, SemanticGPT)
    assert model.head.entries.any()
    assert model.audio_input.vectors.codebooks.any()


@pytest.mark.parametrize("weights", [(1.0,), (1.0, 0.0), (1.0, 1.0, 1.0)])
def test_codebook_weights_that_do_not_fit_are_refused(quantizer_file, weights):
    with pytest.raises(ValueError, match=r"codebook_weights must be 2 positive numbers"):
        GPTStage(make_config(quantizer_file, codebook_weights=weights), CPU)


def test_an_optimizer_for_something_else_is_refused(quantizer_file):
    config = replace(make_config(quantizer_file), optim={"generator": OptimConfig()})
    with pytest.raises(ValueError, match="optim must have the entry 'gpt' only"):
        GPTStage(config, CPU)


@pytest.mark.parametrize("name", ["debug", "base"])
def test_shipped_configs_load(name):
    config = load_config(CONFIGS / f"{name}.yaml", [], {"gpt": GPTRunConfig})
    assert isinstance(config, GPTRunConfig)
    with torch.device("meta"):
        model = SemanticGPT(config.model.gpt)
    count = sum(parameter.numel() for parameter in model.parameters())
    expected = {"debug": (1e6, 2e6), "base": (0.25e9, 0.35e9)}[name]
    assert expected[0] < count < expected[1]
