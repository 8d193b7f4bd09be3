"""Untrained parts of a bundle with an aligner, whose GPT may read by a pointer."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import torch

from gsv2.models.aligner.model import Aligner, AlignerConfig
from gsv2.models.component import save_component
from gsv2.models.gpt.model import SemanticGPT
from tests.support.tiny_bundle import CODES, save_parts, tiny_modules


def save_aligner(folder: Path, seed: int = 0) -> Aligner:
    """Write an aligner of the tiny quantizer beside the other parts."""
    torch.manual_seed(seed)
    aligner = Aligner(
        AlignerConfig(codes=CODES, vocabulary_size=32, dim=16, num_blocks=1, kernel_size=3)
    )
    quantizer = tiny_modules()["quantizer"]
    aligner.set_codebooks(quantizer.code_vectors().codebooks)
    save_component(
        folder / "aligner.safetensors",
        aligner,
        kind="aligner",
        config=asdict(aligner.config),
        provenance={"quantizer": quantizer.fingerprint()},
    )
    return aligner.eval()


def save_run(folder: Path, reading: str, aligner: str | None) -> Path:
    """Write untrained parts with a GPT of that reading, which names the hash of an aligner."""
    save_parts(folder)
    modules = tiny_modules()
    torch.manual_seed(1)
    gpt = SemanticGPT(replace(modules["gpt"].config, reading=reading))
    gpt.set_codebooks(modules["quantizer"].code_vectors().codebooks)
    provenance = {"quantizer": modules["quantizer"].fingerprint()}
    provenance |= {} if aligner is None else {"aligner": aligner}
    config = asdict(gpt.config)
    path = folder / "gpt.safetensors"
    save_component(path, gpt, kind="gpt", config=config, provenance=provenance)
    return folder
