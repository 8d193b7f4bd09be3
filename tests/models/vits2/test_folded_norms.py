"""Folded weight norms: the same waves, fewer tensors, and a bundle of them."""

from __future__ import annotations

from pathlib import Path

import torch

from gsv2.inference.bundle import export_bundle, load_bundle
from gsv2.models.component import load_component
from gsv2.models.vits2.folded_norms import fold_weight_norms, is_folded
from gsv2.models.vits2.model import VITS2
from tests.support.tiny_bundle import CODES, save_parts


def test_a_bundle_is_folded_and_speaks_as_the_run_does(tmp_path: Path) -> None:
    run = save_parts(tmp_path / "run")
    trained = load_component(run / "generator.safetensors", "vits2")
    exported = load_bundle(export_bundle([run], tmp_path / "bundle"))["vits2"]
    assert not is_folded(trained.tensors)
    assert is_folded(exported.tensors)
    codes = torch.randint(CODES.codebook_size, (1, 2, 6))
    style = torch.randn(1, 16)
    waves = [
        VITS2.from_component(part).infer(codes, torch.tensor([6]), style, 0.0)
        for part in (trained, exported)
    ]
    assert waves[0].abs().max() > 0
    torch.testing.assert_close(waves[1], waves[0], rtol=0, atol=1e-5)


def test_folding_twice_changes_nothing(tiny_vits2: VITS2) -> None:
    folded = fold_weight_norms(tiny_vits2).state_dict()
    once = {name: value.clone() for name, value in folded.items()}
    twice = fold_weight_norms(tiny_vits2).state_dict()
    assert once.keys() == twice.keys()
    assert all(value.equal(twice[name]) for name, value in once.items())
