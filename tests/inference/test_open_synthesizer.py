"""Bundles of a GPT, and of text to wave."""

from pathlib import Path

import pytest
import torch

from gsv2.inference.bundle import export_bundle
from gsv2.inference.bundle_description import BundleError
from gsv2.inference.open_synthesizer import open_synthesizer
from gsv2.inference.synthesizer import Synthesizer
from gsv2.inference.text_synthesizer import TextSynthesizer
from gsv2.models.component import save_component
from tests.support.tiny_text_vits2 import make_text_stage

CPU = torch.device("cpu")


def test_a_bundle_is_opened_by_what_it_holds(tiny_bundle: Path, tmp_path: Path) -> None:
    trainable = make_text_stage(tmp_path).trainables["generator"]
    save_component(
        tmp_path / "generator.safetensors",
        trainable.module,
        kind=trainable.kind,
        config=trainable.config,
        provenance=trainable.provenance,
    )
    of_text = export_bundle([tmp_path], tmp_path / "bundle")
    assert type(open_synthesizer(of_text, CPU)) is TextSynthesizer
    assert type(open_synthesizer(tiny_bundle, CPU)) is Synthesizer
    with pytest.raises(BundleError, match="nowhere"):
        open_synthesizer(tmp_path / "nowhere", CPU)
