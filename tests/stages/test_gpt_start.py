"""What a fresh run of the GPT starts from, and what of it trains."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from gsv2.config import config_to_dict
from gsv2.models.component import load_component, save_component
from gsv2.models.gpt.backbone import BackboneConfig
from gsv2.models.gpt.lora import LoraConfig
from gsv2.models.gpt.model import SemanticGPT
from gsv2.stages.gpt import GPTStage
from gsv2.stages.gpt_config import GPTRunConfig
from gsv2.stages.gpt_start import GPTInitConfig
from gsv2.text.encoders.config import TokenizerConfig
from gsv2.text.encoders.make import attach_text_encoder
from gsv2.training.optim import OptimConfig
from tests.support.tiny_gpt import code_batch, make_config, save_quantizer
from tests.support.tiny_language_model import save_language_model

CPU = torch.device("cpu")
BATCH = {"num_frames": [3, 5], "sequence": [0, 0], "texts": ("one", "two")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A quantizer and an LM."""
    made = tmp_path_factory.mktemp("start")
    save_quantizer(made / "quantizer.safetensors")
    save_language_model(made / "lm")
    return made


def tiny(folder: Path, init: GPTInitConfig | None = None, **gpt: Any) -> GPTRunConfig:
    made = make_config(folder / "quantizer.safetensors")
    network = replace(made.model.gpt, **gpt)
    return replace(made, init=init or GPTInitConfig(), model=replace(made.model, gpt=network))


def save_gpt(stage: GPTStage, path: Path) -> Path:
    config = config_to_dict(stage.model.config)
    provenance = stage.trainables["gpt"].provenance
    save_component(path, stage.model, kind="gpt", config=config, provenance=provenance)
    return path


def test_a_run_from_a_gpt_of_its_shape_begins_with_its_loss_at_step_0(folder, tmp_path, caplog):
    torch.manual_seed(0)
    first = GPTStage(tiny(folder), CPU)
    file = save_gpt(first, tmp_path / "gpt.safetensors")
    torch.manual_seed(1)
    second = GPTStage(tiny(folder, GPTInitConfig(gpt=str(file))), CPU)
    batch = code_batch(**BATCH)
    before, wanted = (float(next(s.updates(batch, 1)).loss.detach()) for s in (second, first))
    assert before != wanted
    with caplog.at_level(logging.INFO):
        second.initialise([])
    assert float(next(second.updates(batch, 1)).loss.detach()) == wanted
    assert not second.trainables["gpt"].optimizer.state
    (line,) = [r.message for r in caplog.records if "init.gpt" in r.message]
    assert all(name in line for name in ("taken: text_start", "backbone.layers.0.mlp.up_proj"))


def test_a_wider_or_other_gpt_takes_what_fits_and_the_log_names_the_rest(folder, tmp_path, caplog):
    file = save_gpt(GPTStage(tiny(folder), CPU), tmp_path / "gpt.safetensors")
    init = GPTInitConfig(gpt=str(file))
    other = GPTStage(tiny(folder, init, audio_input="learned", pattern="parallel"), CPU)
    with caplog.at_level(logging.INFO):
        other.initialise([])
    lines = [r.message.split(": ", 1)[1] for r in caplog.records if "init.gpt" in r.message]
    kinds = {line.partition(":")[0].partition(" ")[2]: line for line in lines}
    assert "audio_input.embeddings.{0-1}.weight" in kinds["not in the source, start afresh"]
    assert "head.transformer" in kinds["of the source not used"]
    sizes = BackboneConfig(dim=64, num_layers=1, num_heads=2, num_kv_heads=2, ffn_dim=80)
    nothing = GPTStage(tiny(folder, init, backbone=sizes, depth=sizes), CPU)
    before = {name: value.clone() for name, value in nothing.model.state_dict().items()}
    taken_somewhere = {"head.classifiers.0.weights.bias"}
    nothing.initialise([])  # biases of the size of the codebook fit any width
    changed = {n for n, v in nothing.model.state_dict().items() if not torch.equal(v, before[n])}
    assert taken_somewhere <= changed <= taken_somewhere | {"head.classifiers.1.weights.bias"}


def test_codes_of_another_quantizer_are_told(folder, tmp_path, caplog):
    stage = GPTStage(tiny(folder), CPU)
    file = save_gpt(stage, tmp_path / "gpt.safetensors")
    component = load_component(file, "gpt")
    save_component(
        file, stage.model, kind="gpt", config=component.config, provenance={"quantizer": "other"}
    )
    GPTStage(tiny(folder, GPTInitConfig(gpt=str(file))), CPU).initialise([])
    assert "learnt the codes of quantizer other" in caplog.text


def test_two_starting_points_and_empty_ones_are_refused():
    with pytest.raises(ValueError, match=r"init.backbone must be none where init.gpt \(a\)"):
        GPTInitConfig(gpt="a", backbone="b")
    with pytest.raises(ValueError, match=r"init.gpt must be none or name a folder"):
        GPTInitConfig(gpt="")


def language_model_gpt(folder: Path) -> GPTRunConfig:
    sizes = BackboneConfig(
        dim=32, num_layers=2, num_heads=2, num_kv_heads=1, ffn_dim=48, rope_theta=1e6
    )
    init = GPTInitConfig(backbone=str(folder / "lm"))
    return tiny(folder, init, text_encoder="qwen2", backbone=sizes)


def test_a_text_lm_starts_backbone_and_subwords_and_all_of_it_trains(folder, tmp_path, caplog):
    config = language_model_gpt(folder)
    optim = OptimConfig(lr=1e-2, lr_factors={"backbone": 0.1, "text_encoder": 0.5})
    stage = GPTStage(replace(config, optim={"gpt": optim}), CPU)
    with caplog.at_level(logging.INFO):
        stage.initialise([])
    assert "taken: text_encoder.embedding.weight" in caplog.text
    assert "audio_input.project.weight" in caplog.text
    batch = code_batch(**BATCH)
    (update,) = stage.updates(batch, 1)
    update.loss.backward()
    assert all(p.grad is not None for p in stage.model.parameters())
    bytes_of_batch = sum(len(text.encode()) for text in batch.texts)
    assert stage.workload(batch).tokens < 2 * 2 + bytes_of_batch + 3 + 5 + 1
    rates = {
        name: group["lr"]
        for group in stage.trainables["gpt"].optimizer.param_groups
        for name, p in stage.model.named_parameters()
        if any(p is other for other in group["params"])
    }
    assert rates["backbone.layers.1.mlp.up_proj.weight"] == pytest.approx(1e-3)
    assert rates["text_encoder.embedding.weight"] == pytest.approx(5e-3)
    assert rates["head.input.weight"] == rates["text_start"] == pytest.approx(1e-2)
    file = save_gpt(stage, tmp_path / "gpt.safetensors")
    loaded = SemanticGPT.from_component(load_component(file, "gpt"))
    reader = (loaded.config.text_vectors, loaded.config.tokenizer)
    attach_text_encoder(loaded.text_encoder, *reader, None, CPU)
    assert torch.equal(
        loaded.text_encoder.tokenize(["some text"]).ids,
        stage.model.text_encoder.tokenize(["some text"]).ids,
    )
    assert stage.validate(batch)["gpt/text_gain"].isfinite()


def test_subwords_without_a_tokenizer_are_refused_and_a_named_one_is_taken(folder):
    config = tiny(folder, text_encoder="qwen2")
    with pytest.raises(ValueError, match=r"model.gpt.tokenizer.path must be a folder"):
        GPTStage(config, CPU)
    named = tiny(folder, text_encoder="qwen2", tokenizer=TokenizerConfig(path=str(folder / "lm")))
    stage = GPTStage(named, CPU)
    assert set(stage.trainables["gpt"].provenance) == {"quantizer", "tokenizer"}


def test_frozen_modules_stay_as_they_are_and_cost_less(folder):
    config = tiny(folder)
    frozen = replace(config, model=replace(config.model, freeze=("backbone", "text_start")))
    stage, whole = GPTStage(frozen, CPU), GPTStage(config, CPU)
    batch = code_batch(**BATCH)
    assert stage.flops(batch)["gpt"] < whole.flops(batch)["gpt"]
    before = {name: value.clone() for name, value in stage.model.state_dict().items()}
    trainable = stage.trainables["gpt"]
    (update,) = stage.updates(batch, 1)
    update.loss.backward()
    trainable.optimizer.step()
    changed = {n for n, p in stage.model.named_parameters() if not torch.equal(p, before[n])}
    assert not any(name.startswith(("backbone", "text_start")) for name in changed)
    assert {"audio_start", "head.input.weight", "text_encoder.embedding.weight"} <= changed


def test_adapters_are_added_to_the_weights_that_a_run_starts_from(folder, tmp_path):
    pytest.importorskip("peft", reason="adapters are an extra: pip install 'gsv2[lora]'")
    first = GPTStage(tiny(folder), CPU)
    file = save_gpt(first, tmp_path / "gpt.safetensors")
    init, lora = GPTInitConfig(gpt=str(file)), LoraConfig(rank=2)
    stage = GPTStage(tiny(folder, init, lora=lora), CPU)
    stage.initialise([])
    batch = code_batch(**BATCH)
    updates = [next(s.updates(batch, 1)) for s in (stage, first)]  # adapters begin as nothing
    torch.testing.assert_close(updates[0].loss, updates[1].loss)
    updates[0].loss.backward()
    trained = [p for p in stage.model.parameters() if p.requires_grad]
    assert all(p.grad is not None for p in trained)
    assert len(trained) < len(list(stage.model.parameters()))
