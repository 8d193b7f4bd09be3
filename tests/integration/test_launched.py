"""`engines.NAME.kind: auto` under `accelerate launch --use_deepspeed`: from flags to weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from gsv2.training.checkpoints.checkpoint import find_component
from gsv2.training.distributed.ranks import Distributed
from tests.support.forked_runs import ForkedRuns
from tests.support.forked_runs import finish as finish_forked
from tests.support.launcher_environ import deepspeed_environ
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


def test_the_environment_of_a_deepspeed_launch_brings_its_stage_and_says_what_is_ignored(
    tmp_path: Path, forked_runs: ForkedRuns
) -> None:
    """Two ranks end as one process does; the shards, not the config, say the stage."""
    file = tmp_path / "zero.json"
    file.write_text(json.dumps(JSON))
    options = ("--deepspeed_config_file", str(file), "--zero3_save_16bit_model", "true")
    two = tmp_path / "two"
    children = forked_runs.start_ranks(two, "launched", two, **deepspeed_environ(*options))
    finish_forked(children)
    ignored = (
        "--zero3_save_16bit_model, gradient_clipping, zero_optimization.offload_optimizer, "
        "zero_optimization.overlap_comm"
    )
    _check(tmp_path, 3, "".join(child.errors for child in children), ignored)


@pytest.mark.slow
def test_a_deepspeed_launch_trains_under_its_stage_and_hears_what_is_ignored(
    tmp_path: Path,
) -> None:
    """The launcher's own processes."""
    options = ("--zero_stage", "1", "--offload_optimizer_device", "cpu")
    module, two = "tests.support.ranks.launched", tmp_path / "two"
    errors = finish(start_deepspeed_ranks(2, module, str(two), options=options))
    _check(tmp_path, 1, errors, "--offload_optimizer_device")


def _check(folder: Path, zero_stage: int, errors: str, ignored: str) -> None:
    two = folder / "two"
    assert errors.count("IGNORES") == 1, "not on the main rank alone"
    assert f"gsv2 IGNORES {ignored}; it takes none but the ZeRO stage" in errors
    _check_shards(json.loads((two / "held.json").read_text()), zero_stage)
    stage, _ = fit_toy(launched_config(folder / "one"), Distributed(), make_batch=torn_batch)
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
