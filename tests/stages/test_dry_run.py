"""The largest micro-batches of every stage: they fit the stage, and leave nothing behind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from gsv2.data.config import DataConfig
from gsv2.stages.gpt import GPTStage
from gsv2.stages.joint import JointStage
from gsv2.stages.vits2 import VITS2Stage
from gsv2.training.distributed.ranks import Distributed
from gsv2.training.dry_run import dry_run
from gsv2.training.precision.watch import PrecisionWatch
from gsv2.training.prepare import attach_engines
from gsv2.training.stage import Stage
from gsv2.training.validation import set_training
from tests.stages import test_quantizer
from tests.support import tiny_gpt, tiny_joint, tiny_vits2

CPU = torch.device("cpu")
PACKED = {"batching": "pack", "row_tokens": 60, "max_tokens": 120}


def memory_of(stage: Stage) -> dict[str, Any]:
    return {
        "noise": torch.get_rng_state(),
        **{
            f"{name}/{key}": value.clone()
            for name, trainable in stage.trainables.items()
            for key, value in trainable.module.state_dict().items()
        },
    }


def assert_dry_run_leaves_nothing(stage: Stage, data: DataConfig) -> None:
    """Try it; all modules must compute in what the policy says."""
    distributed = Distributed()
    attach_engines(stage.trainables, {}, distributed)
    set_training(stage, True)
    torch.manual_seed(5)
    before = memory_of(stage)
    notes: list[list[dict[str, Any]]] = []
    modules = {name: trainable.module for name, trainable in stage.trainables.items()}
    watch = PrecisionWatch(
        stage.precision, modules, distributed, lambda key, table: notes.append(table)
    )
    peaks = dry_run(data, stage, distributed, 0, watch)
    watch.end_step(is_last=True)
    table = notes[-1]
    assert all(entry["is_probed"] for entry in table if entry["module"] != "ssl")
    seen = {entry["module"]: entry["computes_in"] for entry in table}
    assert seen == stage.precision.table()
    assert peaks.keys() == {"short clips", "long clips"}
    assert all(gib > 0 for gib in peaks.values())
    torch.testing.assert_close(memory_of(stage), before, rtol=0, atol=0)
    for trainable in stage.trainables.values():
        assert not trainable.optimizer.state
        assert trainable.scheduler.last_epoch == 0
        assert all(p.grad is None for p in trainable.module.parameters())


@pytest.mark.parametrize("dtype", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("data", [{}, PACKED], ids=["bucket", "pack"])
def test_of_the_gpt(tmp_path: Path, data: dict[str, Any], dtype: str) -> None:
    quantizer = tiny_gpt.save_quantizer(tmp_path / "quantizer.safetensors")
    config = tiny_gpt.make_config(quantizer, data=data)
    config = replace(config, precision={"gpt": dtype})
    assert_dry_run_leaves_nothing(GPTStage(config, CPU), config.data)


def test_of_the_quantizer_whose_codebooks_move_in_a_step(tiny_corpus: Any) -> None:
    stage, _ = test_quantizer.make_stage(tiny_corpus)
    config = test_quantizer.make_config(tiny_corpus.source)
    assert_dry_run_leaves_nothing(stage, config.data)


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_of_the_waveform_model(tmp_path: Path, dtype: str) -> None:
    quantizer = tiny_gpt.save_quantizer(tmp_path / "quantizer.safetensors")
    precision = {"generator": dtype, "discriminator": dtype}
    config = tiny_vits2.make_config(quantizer, precision=precision)
    assert_dry_run_leaves_nothing(VITS2Stage(config, CPU), config.data)


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_of_both_together(tmp_path: Path, dtype: str) -> None:
    precision = dict.fromkeys(("gpt", "generator", "discriminator"), dtype)
    quantizer = tiny_gpt.save_quantizer(tmp_path / "quantizer.safetensors")
    config = tiny_joint.make_config(quantizer, precision=precision)
    assert_dry_run_leaves_nothing(JointStage(config, CPU), config.data)
