"""A tiny stage of both parts and its batches: those of `tiny_gpt` and `tiny_vits2` together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from gsv2.data.stream.batch import Batch
from gsv2.stages.joint import JointModelSection, JointRunConfig, JointStage
from tests.support import tiny_gpt, tiny_vits2
from tests.support.tiny_live_quantizer import live_config


def make_config(quantizer_file: Path, **sections: Any) -> JointRunConfig:
    """Return the config of a tiny run."""
    gpt, vits2 = tiny_gpt.make_config(quantizer_file), tiny_vits2.make_config(quantizer_file)
    config = JointRunConfig(
        stage="joint",
        run=vits2.run,
        data=vits2.data,
        trainer=vits2.trainer,
        model=JointModelSection(**(vars(gpt.model) | vars(vits2.model))),
        optim={**gpt.optim, **vits2.optim},
    )
    return replace(config, **sections)


def make_live_config(folder: Path, until_step: int = 2, **live: Any) -> JointRunConfig:
    """Return the config of a run whose quantizer trains until a step; see `live_config`."""
    gpt, vits2 = tiny_gpt.make_config(folder / "none"), live_config(folder, until_step, **live)
    return JointRunConfig(
        stage="joint",
        run=vits2.run,
        data=vits2.data,
        trainer=vits2.trainer,
        tracking=vits2.tracking,
        model=JointModelSection(**(vars(gpt.model) | vars(vits2.model))),
        optim={**gpt.optim, **vits2.optim},
    )


def make_stage(folder: Path, **sections: Any) -> JointStage:
    """Return an untrained stage on the CPU, whose quantizer lies in `folder`."""
    quantizer = tiny_gpt.save_quantizer(folder / "quantizer.safetensors")
    torch.manual_seed(0)
    return JointStage(make_config(quantizer, **sections), torch.device("cpu"))


def make_batch(num_frames: tuple[int, ...] = (21, 12, 5)) -> Batch:
    """Return tones of one voice that say something."""
    texts = tuple(f"text {number}" for number in range(len(num_frames)))
    return replace(tiny_vits2.make_batch(num_frames), texts=texts)
