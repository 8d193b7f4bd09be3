"""A tiny waveform stage whose prior reads text, and its batches."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from gsv2.data.stream.batch import Batch
from gsv2.stages.vits2 import VITS2Stage
from gsv2.stages.vits2_config import VITS2RunConfig
from tests.support.tiny_vits2 import OPTIM, TINY, make_batch, make_config

DURATIONS = {"channels": 8, "num_blocks": 1, "kernel_size": 3, "num_couplings": 2}
ADVERSARIAL = {"kind": "deterministic", "noise_channels": 2}
NAMES = ("generator", "discriminator", "duration_discriminator")


def text_config(folder: Path, judge_channels: int = 0, **durations: Any) -> VITS2RunConfig:
    """Return the config of a tiny run that reads text, as read from a file in `folder`.

    Args:
        folder: where the file is written.
        judge_channels: channels of the duration discriminator; 0 = none.
        durations: of the duration predictor.
    """
    names = NAMES if judge_channels else NAMES[:2]
    generator = {
        **TINY["generator"],
        "prior": "text",
        "text": {"durations": {**DURATIONS, **durations}},
    }
    judge = {"channels": judge_channels, "num_blocks": 1} if judge_channels else None
    return make_config(
        folder / "none",
        model={**TINY, "generator": generator, "duration_discriminator": judge},
        optim=dict.fromkeys(names, OPTIM),
    )


def make_text_stage(folder: Path, judge_channels: int = 0, **durations: Any) -> VITS2Stage:
    """Return an untrained stage on the CPU; see `text_config`."""
    config = text_config(folder, judge_channels, **durations)
    torch.manual_seed(0)
    return VITS2Stage(config, torch.device("cpu"))


def make_text_batch(texts: tuple[str, ...] = ("tone", "a", "b")) -> Batch:
    """Return tones of 21, 12 and 5 frames that are said to be texts."""
    batch = make_batch((21, 12, 5)[: len(texts)])
    return replace(batch, texts=texts, codes=None, code_lengths=None)
