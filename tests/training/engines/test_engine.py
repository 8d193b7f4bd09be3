"""The seam itself; what every engine does behind it: tests/integration/test_engines.py."""

from __future__ import annotations

import inspect
import math
from pathlib import Path
from typing import Any

import pytest

from gsv2.training.engines.deepspeed import DeepSpeedEngine
from gsv2.training.engines.engine import MAX_ZERO_STAGE, Engine, EngineConfig, EngineError
from gsv2.training.engines.plain import PlainEngine
from tests.support.toy_stage import toy_config


def methods(kind: type) -> dict[str, inspect.Signature]:
    public = {n: m for n, m in inspect.getmembers(kind, inspect.isfunction) if n[0] != "_"}
    return {name: inspect.signature(m) for name, m in {**public, "()": kind.__call__}.items()}


@pytest.mark.parametrize("kind", [PlainEngine, DeepSpeedEngine])
def test_engines_have_what_the_seam_names_and_nothing_else(kind: type) -> None:
    """Else a stage would run under one of them alone."""
    assert methods(kind) == methods(Engine)


def test_unless_told_otherwise_the_launcher_decides_and_deepspeed_shards_gradients() -> None:
    assert EngineConfig() == EngineConfig(kind="auto", zero_stage=2)


@pytest.mark.parametrize("stage", range(MAX_ZERO_STAGE + 1))
def test_every_stage_of_zero_may_be_chosen(tmp_path: Path, stage: int) -> None:
    engines = {"generator": {"kind": "deepspeed", "zero_stage": stage}}
    chosen = toy_config(tmp_path, engines=engines).engines
    assert chosen == {"generator": EngineConfig(kind="deepspeed", zero_stage=stage)}


@pytest.mark.parametrize("stage", [-1, MAX_ZERO_STAGE + 1, math.nan])
def test_no_other_stage_may(stage: Any) -> None:
    with pytest.raises(ValueError, match=rf"zero_stage must lie in 0\.\.3, but is {stage}$"):
        EngineConfig(zero_stage=stage)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"kind": "fsdp"}, r"engines\.generator\.kind: .*fsdp"),
        ({"zero_stage": "two"}, r"engines\.generator\.zero_stage: .*two"),
        ({"zero": 1}, r"engines\.generator\.zero: "),
    ],
)
def test_an_entry_that_is_no_engine_is_refused_by_its_key(
    tmp_path: Path, entry: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        toy_config(tmp_path, engines={"generator": entry})


def test_what_an_engine_refuses_is_told_to_the_user_in_a_line() -> None:
    """The command line shows a ValueError without its traceback."""
    assert issubclass(EngineError, ValueError)
