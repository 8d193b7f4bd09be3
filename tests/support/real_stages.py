"""The stages at the smallest size, one after the other."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from gsv2.inference.alignment import align_corpus
from gsv2.inference.extraction import extract_codes
from gsv2.train import main
from gsv2.training.distributed.ranks import Distributed

WAVENET = {"channels": 8, "num_layers": 1, "kernel_size": 3}
BLOCKS = {"num_layers": 3, "block": {"num_heads": 1, "ffn_dim": 16}}
BACKBONE = {"dim": 16, "num_layers": 1, "num_heads": 2, "num_kv_heads": 1, "ffn_dim": 32}
MODELS: dict[str, dict[str, Any]] = {
    "quantizer": {
        "codes": {"codebook_size": 16, "dim": 8},
        "width": 8,
        "num_blocks": 1,
        "kernel_size": 3,
    },
    "gpt": {"gpt": {"backbone": BACKBONE, "depth": BACKBONE, "dropout": 0.1}},
    "vits2": {
        "generator": {
            "channels": 8,
            "latent_channels": 8,
            "content": BLOCKS,
            "style": {"dim": 8, "channels": 8},
            "posterior": WAVENET,
            "flow": {"num_couplings": 2, "wavenet": WAVENET, "block": BLOCKS["block"]},
            "generator": {"channels": 32, "stage_channels": [16, 8, 8, 4, 4]},
        },
        "discriminator": {
            "periods": [2, 3],
            "period_channels": [4, 8],
            "scale_channels": [4, 8, 8],
        },
        "segment_frames": 8,
    },
}
MODELS["aligner"] = {"aligner": {"dim": 8, "num_blocks": 1, "kernel_size": 3}}
MODELS["pointer"] = {"gpt": {**MODELS["gpt"]["gpt"], "reading": "both"}}
MODELS["joint"] = {**MODELS["gpt"], **MODELS["vits2"]}
BUDGETS = {
    "quantizer": {"max_frames": 150},
    "gpt": {"max_tokens": 300},
    "aligner": {"max_frames": 150},
    "pointer": {"max_tokens": 300},
    "vits2": {"max_frames": 150},
    "joint": {"max_frames": 150},
}


def train_stage(
    name: str,
    out: Path,
    corpus: Path,
    shared: Path,
    engines: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Train one stage for 3 steps of 2 micro-batches into `out/NAME`, with checkpoints of 2 and 3.

    Args:
        name: of the stage, or `pointer`, the GPT that reads by attention and a pointer.
        out: folder of run folders.
        corpus: audio corpus.
        shared: folder with `quantizer` (a run) and `codes`, for the stages after the first, and
            `aligner` and `aligned` codes for `pointer`.
        engines: the section.
    """
    source = {"path": str(corpus)}
    model = dict(MODELS[name])
    if name != "quantizer":
        source["codes"] = str(shared / "codes")
        model["quantizer"] = str(shared / "quantizer")
    if name == "pointer":
        source["codes"] = str(shared / "aligned")
        model["aligner"] = str(shared / "aligner")
    data = {"sources": [source], "validation": [source], "lanes": 2, "micro_batches_per_step": 2}
    values = {
        "stage": "gpt" if name == "pointer" else name,
        "run": {"dir": str(out), "name": name},
        "data": {**data, **BUDGETS[name]},
        "model": model,
        "engines": dict(engines or {}),
        "trainer": {"max_steps": 3, "log_every_steps": 1},
        "checkpoint": {"every_steps": 2},
        "tracking": {"progress": False, "samples": 1},
    }
    out.mkdir(parents=True, exist_ok=True)
    ranks = Distributed()
    config = out / f"{name}.yaml"
    if ranks.is_main:
        config.write_text(yaml.safe_dump(values))
    ranks.barrier()
    main(config)


def make_codes(out: Path, corpus: Path) -> None:
    """Train the quantizer into `out/quantizer` and write its codes to `out/codes`. Collective."""
    ranks = Distributed()
    train_stage("quantizer", out, corpus, out)
    ranks.on_main(lambda: extract_codes(corpus, out / "quantizer", out / "codes", ranks.device))


def make_alignments(out: Path, corpus: Path) -> None:
    """Train the aligner into `out/aligner`; write codes with alignments to `out/aligned`."""
    train_stage("aligner", out, corpus, out)
    ranks = Distributed()

    def align() -> None:
        shutil.copytree(out / "codes", out / "aligned")
        align_corpus(corpus, out / "aligned", out / "aligner", ranks.device)

    ranks.on_main(align)
