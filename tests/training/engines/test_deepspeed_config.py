from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gsv2.training.engines.deepspeed_config import (
    check_launcher_json,
    deepspeed_json,
    launched_engine,
)
from gsv2.training.engines.engine import EngineConfig, EngineError

ZERO2 = EngineConfig(kind="deepspeed", zero_stage=2)
USED = {"ACCELERATE_USE_DEEPSPEED": "true"}


def test_nothing_is_left_to_deepspeeds_defaults() -> None:
    values = deepspeed_json(ZERO2, max_grad_norm=0.25)
    assert values["gradient_clipping"] == 0.25
    assert values["gradient_accumulation_steps"] == values["train_micro_batch_size_per_gpu"] == 1
    assert values["zero_optimization"]["stage"] == 2
    assert not values["prescale_gradients"]
    for section in ("fp16", "bf16", "torch_autocast"):
        assert values[section] == {"enabled": False}
    assert json.loads(json.dumps(values)) == values


def test_the_launcher_says_whether_deepspeed_runs_and_with_which_stage() -> None:
    assert launched_engine({}) is None
    assert launched_engine({"ACCELERATE_USE_DEEPSPEED": "false"}) is None
    assert launched_engine(USED) == ZERO2
    stage3 = {**USED, "ACCELERATE_DEEPSPEED_ZERO_STAGE": "3"}
    assert launched_engine(stage3) == EngineConfig(kind="deepspeed", zero_stage=3)
    with pytest.raises(EngineError, match=r"--zero_stage must lie in 0\.\.3, but is '4'"):
        launched_engine({**USED, "ACCELERATE_DEEPSPEED_ZERO_STAGE": "4"})


def test_our_own_json_may_be_given_to_the_launcher(tmp_path: Path) -> None:
    file = tmp_path / "zero1.json"
    config = EngineConfig(kind="deepspeed", zero_stage=1)
    file.write_text(json.dumps(deepspeed_json(config, max_grad_norm=7.0)))
    assert launched_engine({**USED, "ACCELERATE_DEEPSPEED_CONFIG_FILE": str(file)}) == config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bf16": {"enabled": True}}, r"bf16 is \{'enabled': True\}, but gsv2 runs with"),
        ({"gradient_accumulation_steps": 4}, "gradient_accumulation_steps is 4, but gsv2 runs wi"),
        ({"optimizer": {"type": "Adam"}}, "optimizer is .* but gsv2 does not use it; remove it"),
        ({"zero_optimization": {"stage": 5}}, r"zero_optimization.stage must lie in 0\.\.3"),
    ],
)
def test_a_setting_that_gsv2_does_not_run_with_is_refused(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(EngineError, match=rf"^x\.json: {message}"):
        check_launcher_json({**deepspeed_json(ZERO2), **changes}, "x.json")


def test_auto_and_what_is_off_are_no_settings() -> None:
    values = {"train_batch_size": "auto", "amp": {"enabled": False}, "bf16": {"enabled": "auto"}}
    assert check_launcher_json(values, "x.json") == ZERO2
