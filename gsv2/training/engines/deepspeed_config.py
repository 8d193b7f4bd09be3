"""Config that DeepSpeed is given as JSON, made from the run's; and what a launcher asks for.

What gsv2 decides is not left to DeepSpeed: it neither scales nor averages losses (a step is a
mean over all targets already), casts no parameter (stages open autocast themselves, and the
engine carries it inside), and clips at the norm of the `optim` section. Of the settings of
`accelerate launch --use_deepspeed` it takes the ZeRO stage; what would train otherwise than gsv2
does is an error, and what is left unused is named (`ignored_settings`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gsv2.training.engines.engine import MAX_ZERO_STAGE, EngineConfig, EngineError

AUTO = "auto"
"""Value in a launcher's JSON that leaves a setting to gsv2."""
_DEFAULT_STAGE = 2
_BUCKET_ELEMENTS = 50_000_000
"""Gradients reduced, and ZeRO-3 parameters prefetched, at once: 200 MB of fp32."""
_NEVER = 2**31 - 1
_TUNABLE = frozenset({"zero_optimization", "gradient_clipping", "steps_per_print"})
"""Sections of a launcher's JSON whose values may differ from ours: the stage is a choice, buckets
depend on the network, and the norm comes from `optim`."""
_FILE = "ACCELERATE_DEEPSPEED_CONFIG_FILE"
_STAGE = "ACCELERATE_DEEPSPEED_ZERO_STAGE"
_ACCUMULATION = "ACCELERATE_GRADIENT_ACCUMULATION_STEPS"
_UNUSED_FLAGS = {
    "ACCELERATE_DEEPSPEED_OFFLOAD_OPTIMIZER_DEVICE": "--offload_optimizer_device",
    "ACCELERATE_DEEPSPEED_OFFLOAD_PARAM_DEVICE": "--offload_param_device",
    "ACCELERATE_GRADIENT_CLIPPING": "--gradient_clipping",
    "ACCELERATE_DEEPSPEED_ZERO3_INIT": "--zero3_init_flag",
    "ACCELERATE_DEEPSPEED_ZERO3_SAVE_16BIT_MODEL": "--zero3_save_16bit_model",
    "ACCELERATE_DEEPSPEED_MOE_LAYER_CLS_NAMES": "--deepspeed_moe_layer_cls_names",
}
"""Variable that the launcher makes of a flag -> the flag."""
_UNSET = ("", "none", "no", "false", AUTO)
"""Values of them that ask for nothing."""


def deepspeed_json(config: EngineConfig, *, max_grad_norm: float = 1.0) -> dict[str, Any]:
    """Return DeepSpeed's config for one engine.

    Args:
        config: entry with the ZeRO stage.
        max_grad_norm: gradients are clipped to this L2 norm.
    """
    return {
        "train_micro_batch_size_per_gpu": 1,  # our loaders batch; DeepSpeed only counts
        "gradient_accumulation_steps": 1,  # boundaries are set one by one; losses are weighed
        "gradient_clipping": max_grad_norm,
        "prescale_gradients": False,
        "zero_allow_untested_optimizer": True,
        "zero_optimization": {
            "stage": config.zero_stage,
            "contiguous_gradients": True,
            "overlap_comm": False,
            "reduce_bucket_size": _BUCKET_ELEMENTS,
            "allgather_bucket_size": _BUCKET_ELEMENTS,
            "stage3_prefetch_bucket_size": _BUCKET_ELEMENTS,
        },
        "fp16": {"enabled": False},
        "bf16": {"enabled": False},  # it would cast every parameter: no fp32 islands
        "torch_autocast": {"enabled": False},  # the stage's own autocast decides, call by call
        "steps_per_print": _NEVER,
        "wall_clock_breakdown": False,
    }


def launched_engine(environ: Mapping[str, str] = os.environ) -> EngineConfig | None:
    """Return what `accelerate launch --use_deepspeed` asks for; None without it.

    Raises:
        EngineError: the launcher, by a flag or its `--deepspeed_config_file`, has a setting that
            gsv2 does not run with.
    """
    if environ.get("ACCELERATE_USE_DEEPSPEED", "false").lower() != "true":
        return None
    if (steps := environ.get(_ACCUMULATION, AUTO)).lower() not in (*_UNSET, "1"):
        raise EngineError(
            f"--gradient_accumulation_steps is {steps}, but gsv2 accumulates by "
            "data.micro_batches_per_step; remove it"
        )
    values, path = _launcher_json(environ)
    stage = environ.get(_STAGE)
    if values is None:
        return _engine_config(_DEFAULT_STAGE if stage is None else stage, "--zero_stage")
    config = check_launcher_json(values, path)
    if stage not in (None, str(config.zero_stage)):
        raise EngineError(f"--zero_stage is {stage}, but {path} asks for {config.zero_stage}")
    return config


def ignored_settings(environ: Mapping[str, str] = os.environ) -> list[str]:
    """Return the names of the launcher's DeepSpeed settings that gsv2 makes no use of.

    That is flags, and keys of its JSON whose values are others than ours, as in
    `zero_optimization.offload_optimizer`.

    Args:
        environ: environment of a launch that `launched_engine` takes.
    """
    names = [
        flag for key, flag in _UNUSED_FLAGS.items() if environ.get(key, "").lower() not in _UNSET
    ]
    values, _ = _launcher_json(environ)
    if values is None:
        return names
    ours = deepspeed_json(EngineConfig(kind="deepspeed"))
    del ours["gradient_clipping"]  # that of `optim`, whatever the file says
    for key in sorted(_TUNABLE & values.keys() - {"zero_optimization"}):
        if _differs(values[key], ours, key):
            names.append(key)
    for key, value in values.get("zero_optimization", {}).items():
        if key != "stage" and _differs(value, ours["zero_optimization"], key):
            names.append(f"zero_optimization.{key}")
    return names


def check_launcher_json(values: Mapping[str, Any], where: str) -> EngineConfig:
    """Return the engine that a launcher's DeepSpeed JSON describes.

    Raises:
        EngineError: a setting that is not ours; the message names it and both values.
    """
    section = values.get("zero_optimization", {})
    if not isinstance(section, Mapping):
        raise EngineError(f"{where}: zero_optimization must be a section, but is {section!r}")
    stage = section.get("stage", _DEFAULT_STAGE)
    config = _engine_config(stage, f"{where}: zero_optimization.stage")
    ours = deepspeed_json(config)
    for key, value in values.items():
        if key not in _TUNABLE and _differs(value, ours, key):
            instead = f"gsv2 runs with {ours[key]!r}" if key in ours else "gsv2 does not use it"
            raise EngineError(f"{where}: {key} is {value!r}, but {instead}; remove it")
    return config


def _launcher_json(environ: Mapping[str, str]) -> tuple[Mapping[str, Any] | None, str]:
    """Return the content and the path of `--deepspeed_config_file`, if one is given."""
    path = environ.get(_FILE, "")
    if path.lower() in _UNSET:
        return None, path
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise EngineError(f"{path} is no JSON: {error}") from error
    if not isinstance(values, Mapping):
        raise EngineError(f"{path} must hold a JSON object, but is a {type(values).__name__}")
    return values, path


def _differs(value: Any, ours: Mapping[str, Any], key: str) -> bool:
    """Return whether a setting asks for something that ours are not."""
    if value in (AUTO, ours.get(key)):
        return False
    if isinstance(value, Mapping) and (
        value.get("enabled") in (False, AUTO) or value.get("device") == "none"
    ):
        return False
    return key in ours or value is not False


def _engine_config(stage: Any, where: str) -> EngineConfig:
    if str(stage) not in map(str, range(MAX_ZERO_STAGE + 1)):
        raise EngineError(f"{where} must lie in 0..{MAX_ZERO_STAGE}, but is {stage!r}")
    return EngineConfig(kind="deepspeed", zero_stage=int(stage))
