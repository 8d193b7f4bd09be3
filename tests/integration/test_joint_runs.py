"""Runs of the joint stage from its config to what is made of them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from gsv2.inference.bundle import export_bundle, load_bundle
from gsv2.inference.references import load_reference
from gsv2.inference.sampling import SamplingConfig
from gsv2.inference.synthesizer import Synthesizer
from gsv2.train import main
from gsv2.training.checkpoints.checkpoint import find_component
from tests.support.real_stages import train_stage
from tests.support.same_run import assert_same_metrics

NETWORKS = ("gpt", "generator", "discriminator")


@pytest.fixture(scope="module")
def shared(deepspeed_ranks: Path) -> Path:
    """The quantizer and its codes, and what two ranks have trained on them."""
    return deepspeed_ranks / "mixed"


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory, tiny_corpus: Any, shared: Path) -> Path:
    """What one process has trained on the same."""
    out = tmp_path_factory.mktemp("one")
    train_stage("joint", out, tiny_corpus.path, shared)
    return out


def test_a_gpt_under_zero_beside_a_gan_under_ddp_trains_as_one_process_does(
    one: Path, shared: Path
) -> None:
    assert_same_metrics(one / "joint", shared / "joint", 1e-4)


def test_a_run_that_goes_on_from_a_checkpoint_ends_to_the_bit_like_an_unbroken_one(
    one: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(one / "joint", tmp_path / "joint")
    shutil.rmtree(run / "checkpoints" / "step_00000003")
    assert main(one / "joint.yaml", [f"run.dir={tmp_path}"]) == run
    assert_same_metrics(one / "joint", run, 0.0)
    for name in NETWORKS:
        tensors, others = (load_file(find_component(r, name)) for r in (one / "joint", run))
        assert tensors.keys() == others.keys()
        assert all(torch.equal(value, others[key]) for key, value in tensors.items()), name


def test_a_joint_run_and_its_quantizer_make_a_bundle_that_speaks(
    one: Path, shared: Path, voice: Path, tmp_path: Path
) -> None:
    bundle = export_bundle([shared / "quantizer", one / "joint"], tmp_path / "bundle")
    parts = load_bundle(bundle)
    for kind, name in {"gpt": "gpt", "vits2": "generator"}.items():
        expected = load_file(find_component(one / "joint", name))
        tensors = parts[kind].tensors
        kept = tensors.keys() & expected.keys()  # of folded weight norms the key is another
        assert kept == tensors.keys() if kind == "gpt" else len(kept) > len(tensors) / 2
        assert all(torch.equal(tensors[key], expected[key]) for key in kept)
    short = SamplingConfig(max_sec_per_byte=0.02, max_extra_sec=0.2)
    reference = load_reference(voice, "a voice")
    speech = Synthesizer.from_bundle(bundle).synthesize("hello", [reference], sampling=short)
    assert len(speech.wave) > 0
