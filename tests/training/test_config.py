from __future__ import annotations

import re
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from gsv2.config import ConfigError, load_config, save_config
from gsv2.data.config import DataConfig
from gsv2.stages import SCHEMAS
from gsv2.training.config import RunConfig, RunSection, TrainerConfig
from gsv2.training.engines.engine import EngineConfig
from tests.support.toy_stage import ToyRunConfig

SHORTEST = {
    "stage": "toy",
    "run": {"name": "n"},
    "data": {"sources": [], "max_frames": 100},
    "trainer": {"max_steps": 1},
}
"""What every file must say."""


def read(folder: Path, values: dict[str, Any], *overrides: str) -> RunConfig:
    file = folder / "run.yaml"
    file.write_text(yaml.safe_dump(values))
    return load_config(file, overrides, {"toy": ToyRunConfig})


def test_the_shortest_file_is_a_run_with_the_defaults_of_every_section(tmp_path: Path) -> None:
    config = read(tmp_path, SHORTEST)
    expected = ToyRunConfig(
        stage="toy",
        run=RunSection(dir="runs", name="n"),
        data=DataConfig(sources=[], max_frames=100),
        trainer=TrainerConfig(max_steps=1),
    )
    assert config == expected
    assert (config.seed, config.precision, config.engines) == (0, {}, {})


@pytest.mark.parametrize("key", ["run.name", "data.sources", "trainer.max_steps"])
def test_what_has_no_default_must_be_said(tmp_path: Path, key: str) -> None:
    section, _, name = key.partition(".")
    values = {**SHORTEST, section: {k: v for k, v in SHORTEST[section].items() if k != name}}
    with pytest.raises(ConfigError, match=re.escape(key)):
        read(tmp_path, values)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("sead=1", "sead"),
        ("run.folder=x", r"run\.folder"),
        ("seed=many", "seed"),
        ("tracker.mode=offline", "tracker"),
        ("checkpoint.every_step=1", r"checkpoint\.every_step"),
    ],
)
def test_a_name_that_no_section_has_or_a_value_of_another_type_is_refused(
    tmp_path: Path, override: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        read(tmp_path, SHORTEST, override)


def test_a_whole_run_is_written_and_read_back_equal(tmp_path: Path) -> None:
    values = {
        **SHORTEST,
        "seed": 3,
        "precision": {"generator": "bf16"},
        "engines": {"generator": {"kind": "deepspeed", "zero_stage": 1}},
        "checkpoint": {"every_steps": 7},
        "tracking": {"progress": False},
    }
    config = read(tmp_path, values)
    assert config.engines == {"generator": EngineConfig(kind="deepspeed", zero_stage=1)}
    save_config(config, tmp_path / "saved.yaml")
    assert load_config(tmp_path / "saved.yaml", [], {"toy": ToyRunConfig}) == config


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optim.generator.lr=0", r"optim\.generator\.lr must be above 0, but is 0"),
        (
            "optim.generator.betas=[0.9,1.0]",
            r"optim\.generator\.betas must lie in .* \[0\.9, 1\.0\]",
        ),
        ("engines.gpt.zero_stage=4", r"engines\.gpt\.zero_stage must lie in 0\.\.3, but is 4"),
    ],
)
def test_a_value_of_one_trainable_is_refused_by_its_whole_key(
    tmp_path: Path, override: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        read(tmp_path, SHORTEST, override)


def test_every_stage_has_the_sections_that_all_share_and_its_own() -> None:
    """Two, and what a GPT or VITS2 starts from where it does."""
    shared = {field.name for field in fields(RunConfig)}
    for name, schema in SCHEMAS.items():
        own = {field.name for field in fields(schema)} - shared
        assert own - {"init", "waveform_init"} == {"model", "optim"}, name


def test_runs_do_not_share_what_their_defaults_hold() -> None:
    one, other = (
        RunConfig(
            stage="toy",
            run=RunSection(name="n"),
            data=DataConfig(sources=[], max_frames=1),
            trainer=TrainerConfig(max_steps=1),
        )
        for _ in range(2)
    )
    one.precision["gpt"] = "bf16"
    one.engines["gpt"] = EngineConfig()
    assert (other.precision, other.engines) == ({}, {})
    assert replace(other, seed=4).seed == 4


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/../../x", "/x", "a\nb", "a\0b"])
def test_a_name_that_would_leave_the_folder_of_runs_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"run\.name must name a folder below run\.dir \(here\)"):
        RunSection(dir="here", name=name)


@pytest.mark.parametrize("name", ["gpt", "try/1", "日本", "lr=1e-3, big", "..."])
def test_other_names_are_free(name: str) -> None:
    assert RunSection(name=name).name == name
