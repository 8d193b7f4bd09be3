from __future__ import annotations

import math
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from gsv2.config import ConfigError, load_config, save_config
from gsv2.training.config import TrainerConfig
from gsv2.training.engines.compile import CompileError
from tests.support.toy_stage import ToyRunConfig, toy_config

LEAST = {
    "max_steps": 1,
    "log_every_steps": 1,
    "validate_every_steps": 0,
    "left_out_window_steps": 1,
    "max_skipped_steps": 0,
    "max_spikes": 0,
    "spike_warmup_steps": 1,
}
"""Field -> its smallest value."""
GOOD = TrainerConfig(max_steps=1)


@pytest.mark.parametrize(("name", "least"), LEAST.items())
def test_a_count_has_a_smallest_value(name: str, least: int) -> None:
    assert getattr(replace(GOOD, **{name: least}), name) == least
    for value in (least - 1, -1000, math.nan):
        with pytest.raises(ValueError, match=rf"^trainer\.{name} must .*, but is {value}$"):
            replace(GOOD, **{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("spike_factor", 1.0),
        ("spike_factor", 0.5),
        ("spike_factor", -3.0),
        ("spike_factor", math.nan),  # nothing is above NaN: no spike would be left out
        ("spike_factor", math.inf),
        ("spike_warmup_steps", 129),
        ("max_minutes", -1.0),
        ("max_minutes", math.nan),
        ("max_minutes", math.inf),
        ("rank_timeout_sec", 0.0),
        ("rank_timeout_sec", -900.0),
        ("rank_timeout_sec", math.nan),
        ("rank_timeout_sec", math.inf),
    ],
)
def test_a_value_that_no_run_can_mean_is_refused_by_its_key(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"^trainer\.{name} must .*, but is {value}$"):
        replace(GOOD, **{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("spike_factor", 0.0),
        ("spike_factor", 1.01),
        ("spike_warmup_steps", 128),
        ("rank_timeout_sec", 0.1),
    ],
)
def test_a_value_at_the_edge_is_taken(name: str, value: float) -> None:
    assert getattr(replace(GOOD, **{name: value}), name) == value


def test_compilation_is_by_known_mode_and_named_backend() -> None:
    message = r"^trainer\.compile\.gpt must be one of off, default, .*, but is 'fast'$"
    with pytest.raises(CompileError, match=message):
        replace(GOOD, compile={"gpt": "fast"})
    with pytest.raises(ValueError, match=r"^trainer\.compile_backend must be a name, but is empty"):
        replace(GOOD, compile_backend="")


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"max_steps": -1}, r"trainer\.max_steps must be at least 1, but is -1"),
        ({"max_steps": 1.5}, r"trainer\.max_steps: .*'1\.5'"),
        ({"rank_timeout_sec": math.nan}, r"trainer\.rank_timeout_sec must .*, but is nan"),
        ({"max_step": 10}, r"trainer\.max_step: "),
        ({"dry_run": "perhaps"}, r"trainer\.dry_run: .*'perhaps'"),
        ({"activation_checkpointing": "gpt"}, r"trainer\.activation_checkpointing must be a list"),
    ],
)
def test_a_config_file_is_refused_with_the_key_in_one_line(
    tmp_path: Path, section: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as refusal:
        toy_config(tmp_path, trainer=section)
    assert "\n" not in str(refusal.value)


def test_a_section_that_is_saved_is_read_back_equal(tmp_path: Path) -> None:
    section = {
        "max_steps": 7,
        "max_minutes": 2.5,
        "log_every_steps": 2,
        "validate_every_steps": 3,
        "left_out_window_steps": 10,
        "max_skipped_steps": 4,
        "spike_factor": 5.5,
        "spike_warmup_steps": 6,
        "max_spikes": 8,
        "rank_timeout_sec": 9.5,
        "activation_checkpointing": ["generator"],
        "compile": {"generator": "default"},
        "compile_backend": "aot_eager",
        "dry_run": True,
    }
    assert section.keys() == {field.name for field in fields(TrainerConfig)}
    config = toy_config(tmp_path, trainer=section)
    assert config.trainer == TrainerConfig(**section)
    save_config(config, tmp_path / "saved.yaml")
    assert load_config(tmp_path / "saved.yaml", [], {"toy": ToyRunConfig}) == config
