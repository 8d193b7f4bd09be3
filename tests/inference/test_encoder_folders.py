"""What a bundle holds of its encoders: a tokenizer goes with it, so that it speaks alone."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gsv2.inference.bundle import BundleError, export_bundle, load_bundle
from gsv2.inference.encoder_folders import AS_IN_TRAINING, EncoderFolders
from gsv2.inference.references import load_reference
from gsv2.inference.sampling import SamplingConfig
from gsv2.inference.synthesizer import Synthesizer
from gsv2.models.component import load_component, save_component
from gsv2.models.gpt.model import GPTConfig, SemanticGPT
from gsv2.text.encoders.config import TokenizerConfig
from gsv2.text.encoders.make import resolve_tokenizer
from tests.support.tiny_bundle import save_parts
from tests.support.tiny_language_model import save_language_model

CPU = torch.device("cpu")
SHORT = SamplingConfig(max_sec_per_byte=0.02, max_extra_sec=0.2)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Parts of which the GPT reads the subwords of a tokenizer in tmp_path / "lm"."""
    folder = save_parts(tmp_path / "run")
    tokenizer = TokenizerConfig(path=str(save_language_model(tmp_path / "lm")))
    component = load_component(folder / "gpt.safetensors", "gpt")
    config = replace(
        component.read_config(GPTConfig),
        text_encoder="qwen2",
        tokenizer=resolve_tokenizer(tokenizer),
    )
    torch.manual_seed(0)
    gpt = SemanticGPT(config)
    gpt.set_codebooks(SemanticGPT.from_component(component).audio_input.vectors.codebooks)
    about = {"config": asdict(config), "provenance": component.provenance}
    save_component(folder / "gpt.safetensors", gpt, kind="gpt", **about)
    return folder


def speak(bundle: Path, voice: Path, encoders: EncoderFolders = AS_IN_TRAINING) -> np.ndarray:
    synthesizer = Synthesizer.from_bundle(bundle, CPU, encoders)
    reference = load_reference(voice, "a voice")
    return synthesizer.synthesize("hello there", [reference], sampling=SHORT).wave


def test_a_bundle_whose_gpt_reads_subwords_speaks_alone(run, tmp_path, voice) -> None:
    bundle = export_bundle([run], tmp_path / "bundle")
    files = json.loads((bundle / "bundle.json").read_text())["files"]
    assert "tokenizer.json" in files
    named = speak(bundle, voice, EncoderFolders(text=tmp_path / "lm"))
    shutil.rmtree(tmp_path / "lm")
    moved = shutil.move(bundle, tmp_path / "elsewhere")
    assert np.array_equal(speak(moved, voice), named)
    assert len(named)


def test_a_tokenizer_that_is_gone_or_damaged_is_named(run, tmp_path) -> None:
    bundle = export_bundle([run], tmp_path / "bundle")
    with (bundle / "tokenizer.json").open("a") as file:
        file.write(" ")
    with pytest.raises(BundleError, match=r"tokenizer\.json is damaged"):
        load_bundle(bundle)
    shutil.rmtree(tmp_path / "lm")
    with pytest.raises(BundleError, match="must be a folder with tokenizer"):
        export_bundle([run], tmp_path / "other")
