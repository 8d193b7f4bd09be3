from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gsv2.training.engines.deepspeed_config import (
    check_launcher_json,
    deepspeed_json,
    ignored_settings,
    launched_engine,
)
from gsv2.training.engines.engine import EngineConfig, EngineError
from tests.support.launcher_environ import deepspeed_environ

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


@pytest.mark.parametrize("stage", range(4))
def test_the_launchers_stage_is_taken_and_nothing_else_was_asked(stage: int) -> None:
    environ = deepspeed_environ("--zero_stage", str(stage))
    assert launched_engine(environ) == EngineConfig(kind="deepspeed", zero_stage=stage)
    assert ignored_settings(environ) == []


@pytest.mark.parametrize(
    ("flag", "value", "off"),
    [
        ("--offload_optimizer_device", "cpu", "none"),
        ("--offload_param_device", "nvme", "none"),
        ("--zero3_init_flag", "true", "false"),
        ("--zero3_save_16bit_model", "true", "false"),
        ("--deepspeed_moe_layer_cls_names", "Expert", "none"),
    ],
)
def test_flags_without_effect_are_named(flag: str, value: str, off: str) -> None:
    assert ignored_settings(deepspeed_environ(flag, value)) == [flag]
    assert ignored_settings(deepspeed_environ(flag, off)) == []


def test_a_norm_is_named_whatever_it_is() -> None:
    """That of `optim` holds."""
    assert ignored_settings(deepspeed_environ("--gradient_clipping", "1.0")) == [
        "--gradient_clipping"
    ]


def test_flags_that_contradict_gsv2_are_refused(tmp_path: Path) -> None:
    assert launched_engine(deepspeed_environ("--gradient_accumulation_steps", "1")) == ZERO2
    with pytest.raises(EngineError, match=r"^--gradient_accumulation_steps is 4, .*micro_batches_"):
        launched_engine(deepspeed_environ("--gradient_accumulation_steps", "4"))
    file = tmp_path / "zero2.json"
    file.write_text(json.dumps(deepspeed_json(ZERO2)))
    path = ("--deepspeed_config_file", str(file))
    assert launched_engine(deepspeed_environ(*path, "--zero_stage", "2")) == ZERO2
    with pytest.raises(EngineError, match=r"^--zero_stage is 3, but .*zero2\.json asks for 2"):
        launched_engine(deepspeed_environ(*path, "--zero_stage", "3"))


def test_settings_of_the_json_without_effect_are_named(tmp_path: Path) -> None:
    file = tmp_path / "zero2.json"
    environ = deepspeed_environ("--deepspeed_config_file", str(file))
    ours = deepspeed_json(ZERO2)
    off = {"offload_param": {"device": "none"}, "round_robin_gradients": False, "x": "auto"}
    zero = {**ours["zero_optimization"], **off, "reduce_bucket_size": "auto"}
    nothing = {**ours, "zero_optimization": zero, "gradient_clipping": "auto"}
    file.write_text(json.dumps(nothing))
    assert ignored_settings(environ) == []
    zero |= {"offload_optimizer": {"device": "cpu"}, "overlap_comm": True, "reduce_bucket_size": 9}
    file.write_text(json.dumps(nothing | {"gradient_clipping": 1.0, "steps_per_print": 10}))
    assert launched_engine(environ) == ZERO2
    assert ignored_settings(environ) == [
        "gradient_clipping",
        "steps_per_print",
        "zero_optimization.overlap_comm",
        "zero_optimization.reduce_bucket_size",
        "zero_optimization.offload_optimizer",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"zero2\.json is no JSON: "),
        ("[]", r"zero2\.json must hold a JSON object, but is a list"),
        ('{"zero_optimization": true}', r"zero_optimization must be a section, but is True"),
    ],
)
def test_a_file_that_is_no_config_is_named(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "zero2.json"
    file.write_text(text)
    with pytest.raises(EngineError, match=message):
        launched_engine(deepspeed_environ("--deepspeed_config_file", str(file)))
