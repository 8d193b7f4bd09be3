"""Cost of a step of the joint stage against the steps of its two stages, added up.

    python -m benchmarks.joint_step [--quick] [--rounds 7] [--out runs/bench]

The networks of configs/joint/debug, a micro-batch of four clips of 6 to 8 s, as the plan cuts them
for VITS2. `gpt` and `vits2` are the stages alone, with the optimizer steps of one process: the GPT
on the same clips in the rows of `gsv2.stages.joint_rows`, VITS2 on their audio. Noise is made of
the same seeds; the losses of a first step must be equal. Texts have 15 bytes a second.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from benchmarks.harness import Row, ratios
from benchmarks.options import Options, read_options
from gsv2.audio.speech_encoders.interface import SpeechFeatures
from gsv2.config import config_to_dict, load_config
from gsv2.data.plan.window import LanePosition
from gsv2.data.stream.batch import Batch
from gsv2.models.component import save_component
from gsv2.models.quantizer.model import Quantizer, QuantizerConfig
from gsv2.stages import SCHEMAS
from gsv2.stages.gpt import GPTStage
from gsv2.stages.joint import JointStage
from gsv2.stages.joint_rows import pack_rows
from gsv2.stages.vits2 import VITS2Stage
from gsv2.training.stage import Stage

MAX_OF_PARTS = 1.05
SECONDS = (6.0, 6.4, 7.2, 8.0)
QUICK_SECONDS = (1.0, 1.2)
BYTES_PER_SEC = 15
_ROW = 17
"""Behind those of BENCHMARKS.md."""


def main() -> None:
    """Measure and report."""
    options = read_options(__doc__)
    with Row(_ROW, "joint step", options) as row, tempfile.TemporaryDirectory() as folder:
        measure(row, Path(folder), options)


def measure(row: Row, folder: Path, options: Options) -> None:
    """Report the joint step and its parts."""
    joint, gpt, vits2 = make_stages(folder)
    batch = make_batch(QUICK_SECONDS if options.quick else SECONDS)
    tokens = gpt.tokens(batch).tolist()
    packed = pack_rows(batch, tokens)
    first = take_step(joint, batch)
    assert first == {**take_step(gpt, packed), **take_step(vits2, batch)}, "losses differ"
    times = row.alternate(
        {
            "joint": partial(take_step, joint, batch),
            "gpt": partial(take_step, gpt, packed),
            "vits2": partial(take_step, vits2, batch),
        }
    )
    for name, seconds in times.items():
        row.figure(name, seconds, "s a step")
    both = [sum(pair) for pair in zip(times["gpt"], times["vits2"], strict=True)]
    row.target("joint / (gpt + vits2)", ratios(times["joint"], both), at_most=MAX_OF_PARTS)
    size = packed.num_packed_rows * packed.row_tokens
    row.figure("empty share of the GPT's rows", 1 - sum(tokens) / size)


def make_stages(folder: Path) -> tuple[JointStage, GPTStage, VITS2Stage]:
    """Return the three stages, from equal weights."""
    quantizer = save_quantizer(folder / "quantizer.safetensors")
    shared = [f"model.quantizer={quantizer}", "model.aligner=null", "model.gpt.reading=attention"]
    config = load_config("joint/debug", shared, SCHEMAS)
    device = torch.device("cpu")
    torch.manual_seed(0)
    joint = JointStage(config, device)
    gpt_optim = {"gpt": config.optim["gpt"]}
    gan_optim = {name: optim for name, optim in config.optim.items() if name != "gpt"}
    gpt = GPTStage(replace(config, optim=gpt_optim), device)
    vits2 = VITS2Stage(replace(config, optim=gan_optim), device)
    for name, trainable in {**gpt.trainables, **vits2.trainables}.items():
        trainable.module.load_state_dict(joint.trainables[name].module.state_dict())
    return joint, gpt, vits2


def save_quantizer(path: Path) -> Path:
    """Write an untrained quantizer of two codebooks."""
    config = QuantizerConfig()
    quantizer = Quantizer(config)
    torch.manual_seed(0)
    size = config.codes.codebook_size * config.stride * 2
    features = torch.randn(1, size, config.speech_encoder.dim)
    quantizer.initialise(
        [SpeechFeatures(features, torch.ones(1, size, dtype=torch.bool))], frames_per_step=100
    )
    provenance = {"quantizer": quantizer.fingerprint()}
    values = config_to_dict(config)
    save_component(path, quantizer, kind="quantizer", config=values, provenance=provenance)
    return path


def make_batch(seconds: tuple[float, ...]) -> Batch:
    """Return noise for speech and random codes, of clips in sequences of two."""
    generator = torch.Generator().manual_seed(0)
    frames = torch.tensor([int(50 * length) for length in seconds])
    C, code_lengths = len(seconds), (frames + 1) // 2
    codes = torch.randint(1024, (C, 2, int(code_lengths.max())), generator=generator)
    is_padding = torch.arange(codes.shape[-1]) >= code_lengths[:, None, None]
    return Batch(
        micro_batch=0,
        lane=0,
        epoch=0,
        position=LanePosition(lane=0, place=0, window=0, parts=()),
        keys=tuple(f"clip{index}" for index in range(C)),
        speakers=("one",) * C,
        languages=("en",) * C,
        texts=tuple("t" * int(BYTES_PER_SEC * length) for length in seconds),
        mixture_parts=(0,) * C,
        epochs=(0,) * C,
        sequence=torch.arange(C) // 2,
        wave=0.1 * torch.randn(C, 1, int(frames.max()) * 640, generator=generator),
        wave_lengths=frames * 640,
        codes=codes.masked_fill(is_padding, -1),
        code_lengths=code_lengths,
    )


def take_step(stage: Stage, batch: Batch) -> dict[str, float]:
    """Take a step as the engine of one process does; return the losses."""
    losses, updates = {}, stage.updates(batch, 1)
    for _ in range(len(stage.trainables)):
        torch.manual_seed(0)  # before each update, as the Trainer seeds them
        update = next(updates)
        trainable = stage.trainables[update.trainable]
        update.loss.backward()
        torch.nn.utils.clip_grad_norm_(trainable.module.parameters(), trainable.max_grad_norm)
        trainable.optimizer.step()
        trainable.optimizer.zero_grad(set_to_none=True)
        losses[update.trainable] = update.loss.item()
    return losses


if __name__ == "__main__":
    main()
