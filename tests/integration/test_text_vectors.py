"""A GPT that reads the vectors of a frozen text encoder, from the sidecar to speech."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gsv2.data.config import DataConfig, SourceConfig
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.plan.plan import Plan
from gsv2.data.stream.batch import Batch
from gsv2.data.stream.loader import make_loader
from gsv2.inference.bundle import export_bundle
from gsv2.inference.encoder_folders import EncoderFolders
from gsv2.inference.extraction import extract_codes
from gsv2.inference.references import Reference
from gsv2.inference.synthesizer import Synthesizer
from gsv2.inference.text_extraction import extract_text_vectors
from gsv2.models.component import load_component
from gsv2.models.gpt.model import GPTConfig
from gsv2.stages.gpt import GPTStage
from gsv2.stages.gpt_config import GPTRunConfig
from gsv2.stages.sources import CodesMismatchError
from gsv2.text.encoders.config import TextVectorsConfig
from gsv2.text.encoders.make import attach_text_encoder
from gsv2.train import main
from gsv2.training.checkpoints.checkpoint import find_component
from gsv2.training.run_folder.records import read_records
from tests.support.hand_made_batches import no_clips
from tests.support.tiny_bundle import save_parts
from tests.support.tiny_gpt import make_config
from tests.support.tiny_text_encoder import DIM, save_text_encoder

pytestmark = pytest.mark.long

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def world(tiny_corpus: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Parts of a bundle, an encoder, and sidecars of codes and of text vectors."""
    root = tmp_path_factory.mktemp("world")
    save_parts(root / "parts")
    save_text_encoder(root / "encoder")
    extract_codes(tiny_corpus.path, root / "parts", root / "codes", CPU)
    config = TextVectorsConfig(path=str(root / "encoder"))
    extract_text_vectors(tiny_corpus.path, config, root / "texts", CPU)
    return root


def source_of(tiny_corpus: Any, world: Path) -> SourceConfig:
    return SourceConfig(
        path=str(tiny_corpus.path), codes=str(world / "codes"), texts=str(world / "texts")
    )


def stage_config(tiny_corpus: Any, world: Path, **gpt: Any) -> GPTRunConfig:
    made = make_config(world / "parts" / "quantizer.safetensors")
    data = DataConfig(sources=[source_of(tiny_corpus, world)], max_tokens=300, lanes=1)
    network = replace(made.model.gpt, text_encoder="bge-m3", **gpt)
    return replace(made, data=data, model=replace(made.model, gpt=network))


def batches(config: GPTRunConfig) -> list[Batch]:
    plan = Plan(CorpusIndex.open(*config.data.sources), config.data, 0, ("codes", "text_vectors"))
    return [batch for batch, _ in zip(make_loader(plan), range(3), strict=False)]


def test_vectors_of_the_stream_are_what_the_gpt_reads(tiny_corpus: Any, world: Path) -> None:
    config = stage_config(tiny_corpus, world)
    stage = GPTStage(config, CPU)
    assert stage.members == ("codes", "text_vectors")
    assert stage.model.config.text_vectors.dim == DIM
    batch = batches(config)[0]
    (update,) = stage.updates(batch, step=1)
    update.loss.backward()
    assert all(p.grad is not None and p.grad.any() for p in stage.model.text_encoder.parameters())
    reader = (stage.model.config.text_vectors, stage.model.config.tokenizer)
    attach_text_encoder(stage.model.text_encoder, *reader, None, CPU)
    encoded = replace(batch, text_vectors=None, text_vector_lengths=None)
    (again,) = stage.updates(encoded, step=1)
    torch.testing.assert_close(again.loss, update.loss, rtol=1e-3, atol=1e-3)
    assert stage.workload(encoded) == stage.workload(batch)
    assert stage.flops(batch)["gpt"] > 0


def test_another_text_changes_the_loss_and_no_clips_change_nothing(
    tiny_corpus: Any, world: Path
) -> None:
    config = stage_config(tiny_corpus, world)
    stage = GPTStage(config, CPU)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in stage.model.parameters():  # heads that begin as zeros hear no text
            parameter.add_(0.2 * torch.randn_like(parameter))
    metrics = stage.validate(batches(config)[0])
    assert metrics["gpt/text_gain"] != 0
    (update,) = stage.updates(no_clips(), step=1)
    update.loss.backward()
    assert float(update.loss.detach()) == 0
    assert all(p.grad is not None and not p.grad.any() for p in stage.model.parameters())


def test_packed_rows_and_padded_ones_give_the_same_loss(tiny_corpus: Any, world: Path) -> None:
    config = stage_config(tiny_corpus, world)
    data = replace(config.data, batching="pack", row_tokens=150)
    stage = GPTStage(config, CPU)
    batch = batches(replace(config, data=data))[0]
    assert batch.num_packed_rows
    (packed,) = stage.updates(batch, step=1)
    padded = replace(batch, packed_row=None, num_packed_rows=0, row_tokens=0)
    (alone,) = stage.updates(padded, step=1)
    torch.testing.assert_close(packed.loss, alone.loss)


def test_what_cannot_work_is_refused_by_name(tiny_corpus: Any, world: Path, tmp_path: Path) -> None:
    config = stage_config(tiny_corpus, world)
    with pytest.raises(ValueError, match=r"reading must be attention where .*text_encoder"):
        replace(config.model, aligner="x", gpt=replace(config.model.gpt, reading="pointer"))
    bare = replace(config.data, sources=[replace(config.data.sources[0], texts=None)])
    with pytest.raises(ValueError, match=r"sources must have texts.*extract-text"):
        GPTStage(replace(config, data=bare), CPU)
    with pytest.raises(ValueError, match=r"must be of the encoder other"):
        GPTStage(
            stage_config(tiny_corpus, world, text_vectors=TextVectorsConfig(sha256="other")), CPU
        )


def test_from_the_sidecar_to_speech_in_six_scripts(
    tiny_corpus: Any, world: Path, tmp_path: Path
) -> None:
    overrides = [
        f"run.dir={tmp_path}",
        f"data.sources=[{{path: {tiny_corpus.path}, codes: {world / 'codes'},"
        f" texts: {world / 'texts'}}}]",
        f"data.validation=[{{path: {tiny_corpus.path}, codes: {world / 'codes'},"
        f" texts: {world / 'texts'}}}]",
        "data.lanes=2",
        f"model.quantizer={world / 'parts'}",
        "model.aligner=null",
        "model.gpt.text_encoder=bge-m3",
        "model.gpt.backbone.dim=32",
        "model.gpt.backbone.num_layers=1",
        "model.gpt.depth.dim=32",
        "trainer.max_steps=2",
        "trainer.log_every_steps=1",
        "trainer.validate_every_steps=2",
        "tracking.progress=false",
    ]
    run = main("gpt/attention_debug", overrides)
    records = read_records(run / "metrics.jsonl")
    assert np.isfinite(records[-1]["gpt/loss"])
    component = load_component(find_component(run, "gpt"), "gpt")
    config = component.read_config(GPTConfig)
    assert component.provenance["text_encoder"] == config.text_vectors.sha256

    parts = tmp_path / "parts"
    shutil.copytree(world / "parts", parts)
    (parts / "gpt.safetensors").unlink()
    bundle = export_bundle([parts, run], tmp_path / "bundle")
    named = json.loads((bundle / "bundle.json").read_text())["text_encoder"]
    assert named["source"] == str(world / "encoder")
    moved = tmp_path / "moved"
    shutil.copytree(world / "encoder", moved)
    wave = np.random.default_rng(0).standard_normal(32_000).astype(np.float32) * 0.1
    references = [Reference(wave=wave, text="Поезд 今天")]
    spoken = [
        Synthesizer.from_bundle(bundle, CPU, folders).synthesize(
            "red Поезд 火车 القطار ट्रेन 기차", references
        )
        for folders in (EncoderFolders(), EncoderFolders(text=moved))
    ]
    assert np.isfinite(spoken[0].wave).all()
    assert np.array_equal(spoken[0].wave, spoken[1].wave)
    other = save_text_encoder(tmp_path / "other", seed=1)
    with pytest.raises(ValueError, match="must hold the bge-m3 of hash"):
        Synthesizer.from_bundle(bundle, CPU, EncoderFolders(text=other))

    foreign = tmp_path / "foreign"
    extract_text_vectors(tiny_corpus.path, TextVectorsConfig(path=str(other)), foreign, CPU)
    with pytest.raises(CodesMismatchError, match=r"data\.validation: the text vectors must be of"):
        main(
            "gpt/attention_debug",
            [*overrides, "run.name=b", overrides[2].replace(str(world / "texts"), str(foreign))],
        )
