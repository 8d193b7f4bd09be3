"""What test_elastic.py runs."""

from __future__ import annotations

from pathlib import Path

import yaml

from gsv2 import train
from gsv2.training.distributed.ranks import Distributed
from tests.support.real_stages import BUDGETS, MODELS

NUM_STEPS = 4
SMALLER = {"gpt": {}, "vits2": {"segment_frames": 2}}
"""A quarter of the waveform, which costs most."""


def train_curve(name: str, out: Path, corpus: Path, shared: Path, *, engine: str = "auto") -> None:
    """Train a stage for 4 steps of 4 micro-batches into `out/NAME`, with dropout.

    Args:
        name: of the stage.
        out: folder of run folders.
        corpus: audio corpus.
        shared: folder with `quantizer` (a run) and `codes`.
        engine: kind of all its engines.
    """
    source = {"path": str(corpus), "codes": str(shared / "codes")}
    names = {"gpt": ("gpt",), "vits2": ("generator", "discriminator")}[name]
    values = {
        "stage": name,
        "run": {"dir": str(out), "name": name},
        "data": {
            "sources": [source],
            "validation": [source],
            "lanes": 4,
            "micro_batches_per_step": 4,
            **BUDGETS[name] | ({"max_frames": 80} if name == "vits2" else {}),
        },
        "model": {**MODELS[name], **SMALLER[name], "quantizer": str(shared / "quantizer")},
        "engines": {trained: {"kind": engine, "zero_stage": 3} for trained in names},
        "trainer": {"max_steps": NUM_STEPS, "log_every_steps": 1},
        "checkpoint": {"every_steps": NUM_STEPS},
        "tracking": {"progress": False, "samples": 0},
    }
    ranks = Distributed()
    config = out / f"{name}.yaml"
    if ranks.is_main:
        out.mkdir(parents=True, exist_ok=True)
        config.write_text(yaml.safe_dump(values))
    ranks.barrier()
    train.main(config)


def main(out: str, corpus: str, shared: str, stage: str, engine: str) -> None:
    """Train a stage into the first folder, from a corpus and what stages share."""
    train_curve(stage, Path(out), Path(corpus), Path(shared), engine=engine)
    Distributed().close()
