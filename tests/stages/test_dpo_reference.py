"""Reference of preferences: frozen, and of the same kind as the GPT that trains."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gsv2.config import config_to_dict
from gsv2.models.component import save_component
from gsv2.stages.dpo_reference import load_reference
from gsv2.stages.gpt import GPTStage
from tests.support.tiny_gpt import make_config, save_quantizer

CPU = torch.device("cpu")


def save_gpt(file: Path, stage: GPTStage, **changes: str) -> Path:
    provenance = {**stage.trainables["gpt"].provenance, **changes}
    config = config_to_dict(stage.model.config)
    save_component(file, stage.model, kind="gpt", config=config, provenance=provenance)
    return file


def test_a_reference_is_the_gpt_of_its_file_and_takes_no_gradient(tmp_path: Path) -> None:
    stage = GPTStage(make_config(save_quantizer(tmp_path / "quantizer.safetensors")), CPU)
    reference = load_reference(save_gpt(tmp_path / "gpt.safetensors", stage), stage)
    weights = stage.model.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in reference.state_dict().items())
    assert not any(parameter.requires_grad for parameter in reference.parameters())
    assert not reference.training


def test_a_gpt_of_another_pattern_or_of_other_codes_is_no_reference(tmp_path: Path) -> None:
    config = make_config(save_quantizer(tmp_path / "quantizer.safetensors"))
    stage = GPTStage(config, CPU)
    delayed = replace(config.model, gpt=replace(config.model.gpt, pattern="delay"))
    file = save_gpt(tmp_path / "delay.safetensors", GPTStage(replace(config, model=delayed), CPU))
    with pytest.raises(ValueError, match=r"model\.gpt\.pattern must be that of init\.gpt .*delay"):
        load_reference(file, stage)
    file = save_gpt(tmp_path / "codes.safetensors", stage, quantizer="another")
    with pytest.raises(ValueError, match=r"must be trained on the codes .* but was on another"):
        load_reference(file, stage)
