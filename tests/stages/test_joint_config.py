"""The config of a run of both stages; what is trained: test_joint.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from gsv2.config import ConfigError, load_config, save_config
from gsv2.models.gpt.model import SemanticGPT
from gsv2.models.vits2.discriminators import MultiDiscriminator
from gsv2.models.vits2.model import VITS2
from gsv2.stages import SCHEMAS
from gsv2.stages.gpt_config import GPTModelSection
from gsv2.stages.joint import JointModelSection, JointRunConfig
from gsv2.stages.vits2_config import VITS2ModelSection

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


def read(name: str, stage: str = "joint", overrides: Sequence[str] = ()) -> Any:
    return load_config(CONFIGS / stage / f"{name}.yaml", overrides, SCHEMAS)


@pytest.mark.parametrize(
    "overrides",
    [
        ["data.max_frames=null", "data.max_tokens=2048"],
        [
            "data.max_frames=null",
            "data.max_tokens=2048",
            "data.row_tokens=512",
            "data.batching=pack",
        ],
    ],
)
def test_a_budget_that_does_not_bound_the_audio_is_refused(overrides: list[str]) -> None:
    message = r"data\.max_frames must be set for stage=joint, in place of data\.max_tokens \(2048\)"
    with pytest.raises(ConfigError, match=message):
        read("debug", overrides=overrides)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.segment_frames=0", r"model\.segment_frames must be at least 1, but is 0"),
        ("model.gpt.backbone.dimm=64", r"model\.gpt\.backbone\.dimm: .*dim"),
        ("model.quantiser=q", r"model\.quantiser: .*quantizer"),
    ],
)
def test_the_sections_are_checked_as_in_the_stages_alone(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read("debug", overrides=[override])


@pytest.mark.parametrize(
    ("name", "millions"), [("debug", [1.4, 2.4, 0.2]), ("base", [319.5, 68.4, 46.7])]
)
def test_shipped_configs_build_at_their_size(name: str, millions: list[float]) -> None:
    model = read(name).model
    with torch.device("meta"):
        modules = (
            SemanticGPT(model.gpt),
            VITS2(model.generator),
            MultiDiscriminator(model.discriminator),
        )
    sizes = [sum(p.numel() for p in module.parameters()) / 1e6 for module in modules]
    assert sizes == pytest.approx(millions, rel=0.02)


@pytest.mark.parametrize("name", ["debug", "base"])
def test_shipped_configs_train_the_networks_of_the_single_stages_as_these_do(name: str) -> None:
    joint = read(name)
    assert isinstance(joint, JointRunConfig)
    singles = {"debug": {"gpt": "attention_debug", "vits2": "hifigan_debug"}}
    for stage in ("gpt", "vits2"):
        alone = read(singles.get(name, {}).get(stage, name), stage)
        assert vars(alone.model).items() <= vars(joint.model).items()
        assert alone.optim.items() <= joint.optim.items()
        assert alone.precision.items() <= joint.precision.items()
        assert alone.data.sources == joint.data.sources


def test_the_sections_of_the_single_stages_share_the_quantizer_alone() -> None:
    """Else one of the two would be given what is meant for the other."""
    names = [{field.name for field in fields(s)} for s in (GPTModelSection, VITS2ModelSection)]
    assert names[0] & names[1] == {"quantizer"}
    assert names[0] | names[1] == {field.name for field in fields(JointModelSection)}


def test_a_run_that_is_saved_is_read_back_equal(tmp_path: Path) -> None:
    for name in ("debug", "base"):
        save_config(read(name), tmp_path / "saved.yaml")
        assert load_config(tmp_path / "saved.yaml", [], SCHEMAS) == read(name)


def test_an_entry_of_optim_changes_what_it_names_and_keeps_the_rest() -> None:
    """The GAN keeps its betas, the GPT its own."""
    optim = JointRunConfig.__dataclass_fields__["optim"].default_factory()
    assert optim["generator"] == optim["discriminator"] != optim["gpt"]
    overrides = ["optim.gpt.lr=1.0", "optim.generator.lr=2.0"]
    changed = read("debug", overrides=overrides).optim
    before = read("debug").optim
    assert changed["gpt"] == replace(before["gpt"], lr=1.0)
    assert changed["generator"] == replace(before["generator"], lr=2.0)
    assert changed["discriminator"] == before["discriminator"]
