"""The JSON that DeepSpeed is given, made from the run's config.

What gsv2 decides is not left to DeepSpeed: it neither scales nor averages losses (a step is a
mean over all targets already), casts no parameter (stages open autocast themselves, and the
engine carries it inside), and clips at the norm of the `optim` section.
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


def deepspeed_json(config: EngineConfig, *, max_grad_norm: float = 1.0) -> dict[str, Any]:
    """Return DeepSpeed's config for one engine.

    Args:
        config: whose `zero_stage` it is.
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
        EngineError: its `--deepspeed_config_file` has a setting that gsv2 does not run with.
    """
    if environ.get("ACCELERATE_USE_DEEPSPEED", "false").lower() != "true":
        return None
    path = environ.get("ACCELERATE_DEEPSPEED_CONFIG_FILE", "none")
    if path.lower() not in ("", "none"):
        return check_launcher_json(json.loads(Path(path).read_text(encoding="utf-8")), path)
    stage = environ.get("ACCELERATE_DEEPSPEED_ZERO_STAGE", str(_DEFAULT_STAGE))
    return _engine_config(stage, "--zero_stage")


def check_launcher_json(values: Mapping[str, Any], where: str) -> EngineConfig:
    """Return the engine that a launcher's DeepSpeed JSON describes.

    Raises:
        EngineError: a setting that is not ours; the message names it and both values.
    """
    stage = values.get("zero_optimization", {}).get("stage", _DEFAULT_STAGE)
    config = _engine_config(stage, f"{where}: zero_optimization.stage")
    ours = deepspeed_json(config)
    for key, value in values.items():
        if key in _TUNABLE or value in (AUTO, ours.get(key)):
            continue
        if isinstance(value, Mapping) and value.get("enabled") in (False, AUTO):
            continue
        instead = f"gsv2 runs with {ours[key]!r}" if key in ours else "gsv2 does not use it"
        raise EngineError(f"{where}: {key} is {value!r}, but {instead}; remove it")
    return config


def _engine_config(stage: Any, where: str) -> EngineConfig:
    if str(stage) not in map(str, range(MAX_ZERO_STAGE + 1)):
        raise EngineError(f"{where} must lie in 0..{MAX_ZERO_STAGE}, but is {stage!r}")
    return EngineConfig(kind="deepspeed", zero_stage=int(stage))
