"""A tiny waveform stage whose quantizer trains with it, and its batches."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from gsv2.data.stream.batch import Batch
from gsv2.stages.vits2 import VITS2Stage
from gsv2.stages.vits2_config import VITS2RunConfig
from tests.support.tiny_vits2 import OPTIM, TINY, make_batch, make_config

NAMES = ("generator", "discriminator", "quantizer")
NETWORK = {
    "codes": {"codebook_size": 8, "dim": 6},
    "codebooks": {"kmeans_iterations": 3, "reservoir_per_entry": 4},
    "speech_encoder": {"num_mels": 20},
    "width": 8,
    "num_blocks": 1,
    "kernel_size": 3,
}


def live_config(
    folder: Path, until_step: int = 2, *, start_step: int = 99, **model: Any
) -> VITS2RunConfig:
    """Return the config of a run that trains its quantizer, as read from a file in `folder`.

    Args:
        folder: where the file is written, and the run lies.
        until_step: last step in which the quantizer trains.
        start_step: first step with the discriminators.
        model: of its section.
    """
    trained = {"network": NETWORK, "until_step": until_step}
    section = {**TINY, "discriminator": {**TINY["discriminator"], "start_step": start_step}}
    return make_config(
        folder / "none",
        run={"dir": str(folder), "name": "run"},
        model={**section, "trained_quantizer": trained, **model},
        optim={name: {**OPTIM, "schedule": "constant"} for name in NAMES},
        tracking={"progress": False},
    )


def audio(num_frames: tuple[int, ...] = (41, 32, 25)) -> Batch:
    """Return tones without codes."""
    return replace(make_batch(num_frames), codes=None, code_lengths=None)


def make_live_stage(folder: Path, until_step: int = 2) -> VITS2Stage:
    """Return a stage on the CPU whose codebooks are started."""
    torch.manual_seed(0)
    stage = VITS2Stage(live_config(folder, until_step), torch.device("cpu"))
    stage.initialise([audio()] * 3)
    return stage
