"""A tiny waveform stage and its batches."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from gsv2.data.stream.batch import Batch
from gsv2.stages.vits2 import VITS2Stage
from gsv2.stages.vits2_config import VITS2RunConfig
from tests.support.cached_configs import read_values
from tests.support.hand_made_batches import make_clips
from tests.support.tiny_gpt import save_quantizer
from tests.support.toy_stage import toy_position

WAVENET = {"channels": 8, "num_layers": 1, "kernel_size": 3}
BLOCK = {"num_heads": 1, "ffn_dim": 16, "dropout": 0.0}
ISTFT = {"kind": "istft", "istft": {"dim": 16, "num_blocks": 2}}
OPTIM = {"lr": 2e-3, "betas": [0.8, 0.99], "max_grad_norm": 1000.0}
TINY = {
    "generator": {
        "channels": 8,
        "latent_channels": 8,
        "content": {"num_layers": 3, "block": BLOCK},
        "style": {"dim": 8, "channels": 8, "dropout": 0.0},
        "posterior": WAVENET,
        "flow": {"num_couplings": 2, "wavenet": WAVENET, "block": BLOCK},
        "generator": {
            "channels": 32,
            "stage_channels": [16, 16, 8, 8, 8],
            "block_kernels": [3],
            "block_dilations": [1],
        },
    },
    "discriminator": {"periods": [2, 3], "period_channels": [4, 8], "scale_channels": [4, 8, 8]},
    "segment_frames": 8,
}


def make_config(quantizer_file: Path, **sections: object) -> VITS2RunConfig:
    """Return the config of a tiny run, as read from a file."""
    values = {
        "stage": "vits2",
        "run": {"name": "test"},
        "data": {"sources": [{"path": "nowhere"}], "max_frames": 100},
        "trainer": {"max_steps": 50},
        "model": {"quantizer": str(quantizer_file), **TINY},
        "optim": {"generator": OPTIM, "discriminator": OPTIM},
        **sections,
    }
    return read_values(values, VITS2RunConfig, quantizer_file.parent)


def make_stage(folder: Path) -> VITS2Stage:
    """Return an untrained stage on the CPU, whose quantizer lies in `folder`."""
    quantizer = save_quantizer(folder / "quantizer.safetensors")
    torch.manual_seed(0)
    return VITS2Stage(make_config(quantizer), torch.device("cpu"))


def make_batch(num_frames: tuple[int, ...] = (21, 12, 5), num_codebooks: int = 2) -> Batch:
    """Return tones of one voice, the last shorter than a segment."""
    generator = torch.Generator().manual_seed(0)
    C, T = len(num_frames), max(num_frames, default=0)
    wave = torch.zeros(C, 1, T * 640)
    codes = torch.full((C, num_codebooks, (T + 1) // 2), -1)
    for index, frames in enumerate(num_frames):
        time = torch.arange(frames * 640) / 32_000
        wave[index, 0, : frames * 640] = 0.1 * torch.sin(2 * torch.pi * (200 + 80 * index) * time)
        length = (frames + 1) // 2
        codes[index, :, :length] = torch.randint(16, (num_codebooks, length), generator=generator)
    frames = torch.tensor(num_frames, dtype=torch.int64)
    return make_clips(
        (0,) * C,
        texts=("",) * C,
        wave=wave,
        wave_lengths=frames * 640,
        codes=codes,
        code_lengths=(frames + 1) // 2,
    )


def numbered_batch(k: int, num_frames: tuple[int, ...] = (12, 9)) -> Batch:
    """Return micro-batch k of a run, whose lanes and epochs are those of the toy's stream."""
    position = toy_position(k)
    C, epoch = len(num_frames), position.parts[0].epoch
    return replace(
        make_batch(num_frames),
        micro_batch=k,
        lane=position.lane,
        epoch=epoch,
        position=position,
        keys=tuple(f"{k}-{index}" for index in range(C)),
        mixture_parts=(0,) * C,
        epochs=(epoch,) * C,
    )


def run_config(folder: Path, discriminator: dict[str, Any], **model: Any) -> VITS2RunConfig:
    """Return the config of six steps in `folder`, with a section of discriminators."""
    folder.mkdir(exist_ok=True)
    quantizer = save_quantizer(folder / "quantizer.safetensors")
    section = {
        "quantizer": str(quantizer),
        **TINY,
        "discriminator": {**TINY["discriminator"], **discriminator},
        **model,
    }
    optim = {**OPTIM, "schedule": "constant"}
    return make_config(
        quantizer,
        model=section,
        optim={"generator": optim, "discriminator": optim},
        run={"dir": str(folder), "name": "run"},
        data={"sources": [{"path": "x"}], "max_frames": 100, "micro_batches_per_step": 2},
        trainer={"max_steps": 6, "log_every_steps": 1},
        checkpoint={"every_steps": 100},
        tracking={"progress": False},
    )


def make_run_stage(folder: Path, discriminator: dict[str, Any], **model: Any) -> VITS2Stage:
    """Return the untrained stage of `run_config`."""
    config = run_config(folder, discriminator, **model)
    torch.manual_seed(0)
    return VITS2Stage(config, torch.device("cpu"))
