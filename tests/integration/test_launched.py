"""`engines.NAME.kind: auto` under `accelerate launch --use_deepspeed`: from flags to weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from gsv2.training.checkpoints.checkpoint import find_component
from gsv2.training.distributed.ranks import Distributed
from tests.support.processes import finish, start_deepspeed_ranks
from tests.support.ranks.launched import launched_config
from tests.support.toy_stage import fit_toy, torn_batch

JSON = {
    "train_micro_batch_size_per_gpu": "auto",
    "gradient_clipping": 0.5,
    "zero_optimization": {
        "stage": 3,
        "offload_optimizer": {"device": "cpu"},
        "offload_param": {"device": "none"},
        "overlap_comm": True,
    },
}


@pytest.mark.parametrize(
    ("zero_stage", "ignored"),
    [
        (
            3,
            "--zero3_save_16bit_model, gradient_clipping, zero_optimization.offload_optimizer, "
            "zero_optimization.overlap_comm",
        ),
        pytest.param(1, "--offload_optimizer_device", marks=pytest.mark.slow),
    ],
)
def test_a_deepspeed_launch_trains_under_its_stage_and_hears_what_is_ignored(
    tmp_path: Path, zero_stage: int, ignored: str
) -> None:
    """Two ranks end as one process does; the shards, not the config, say the stage."""
    file = tmp_path / "zero.json"
    file.write_text(json.dumps(JSON))
    options = {
        3: ("--deepspeed_config_file", str(file), "--zero3_save_16bit_model", "true"),
        1: ("--zero_stage", "1", "--offload_optimizer_device", "cpu"),
    }[zero_stage]
    module, two = "tests.support.ranks.launched", tmp_path / "two"
    errors = finish(start_deepspeed_ranks(2, module, str(two), options=options))
    assert errors.count("IGNORES") == 1, "not on the main rank alone"
    assert f"gsv2 IGNORES {ignored}; it takes none but the ZeRO stage" in errors
    _check_shards(json.loads((two / "held.json").read_text()), zero_stage)
    stage, _ = fit_toy(launched_config(tmp_path / "one"), Distributed(), make_batch=torn_batch)
    for name, trainable in stage.trainables.items():
        saved = load_file(find_component(two / "run", name))
        for key, value in trainable.module.state_dict().items():
            assert (saved[key] - value).abs().max() <= 1e-5, f"{name}.{key}"


def _check_shards(held: list[dict[str, Any]], zero_stage: int) -> None:
    """Check that no rank holds all moments, nor any whole parameter under ZeRO-3."""
    assert len(held) == 2
    for of_rank in held:
        for name, counts in of_rank.items():
            assert counts["moments"] < 0.75 * counts["all"], name
            assert counts["parameters"] == (0 if zero_stage == 3 else counts["all"]), name
