"""Activation checkpointing in whole steps: a GAN keeps its graph over the judge's update."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from gsv2.stages.gpt import GPTStage
from gsv2.stages.joint import JointStage
from gsv2.stages.vits2 import VITS2Stage
from gsv2.training.distributed.ranks import Distributed
from gsv2.training.prepare import attach_engines, recompute_activations
from gsv2.training.stage import Stage
from gsv2.training.step import StepRunner
from gsv2.training.validation import set_training
from tests.support import tiny_gpt, tiny_joint, tiny_vits2
from tests.support.run_step import run_step

CPU = torch.device("cpu")


def gpt(quantizer: Path) -> Stage:
    return GPTStage(tiny_gpt.make_config(quantizer), CPU)


def vits2(quantizer: Path) -> Stage:
    return VITS2Stage(tiny_vits2.make_config(quantizer), CPU)


def joint(quantizer: Path) -> Stage:
    return JointStage(tiny_joint.make_config(quantizer), CPU)


def train(stage: Stage, names: list[str]) -> dict[str, Tensor]:
    recompute_activations(stage.trainables, names)
    set_training(stage, True)
    attach_engines(stage.trainables, {}, Distributed())
    runner = StepRunner(stage, Distributed(), seed=0)
    for step in (1, 2):
        if isinstance(stage, GPTStage):
            batches = [tiny_gpt.code_batch((3, 4), (0, 0), seed=step)]
        else:
            batches = [tiny_joint.make_batch((21, 12)), tiny_joint.make_batch((9, 8))]
        assert run_step(runner, batches, step).skipped == 0
    return {
        f"{name}/{key}": value
        for name, trainable in stage.trainables.items()
        for key, value in trainable.module.state_dict().items()
    }


@pytest.mark.parametrize(("make", "name"), [(gpt, "gpt"), (vits2, "generator"), (joint, "gpt")])
def test_a_stage_trains_the_same_to_the_last_bit(
    tmp_path: Path, make: Callable[[Path], Stage], name: str
) -> None:
    quantizer = tiny_gpt.save_quantizer(tmp_path / "quantizer.safetensors")
    ends = []
    for names in ([], [name]):
        torch.manual_seed(0)
        ends.append(train(make(quantizer), names))
    torch.testing.assert_close(ends[1], ends[0], rtol=0, atol=0)
