"""A tiny aligner, and a file of one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from gsv2.config import config_to_dict
from gsv2.models.aligner.model import Aligner, AlignerConfig
from gsv2.models.component import save_component
from gsv2.nn.codes import CodeConfig

V = 16
CODES = CodeConfig(levels=2, codebook_size=V, dim=8)
CONFIG = AlignerConfig(
    codes=CODES, vocabulary_size=32, dim=16, num_blocks=2, kernel_size=3, dropout=0.1
)


def make_aligner(seed: int = 0) -> Aligner:
    """Return one with random weights and codebooks, in evaluation mode."""
    torch.manual_seed(seed)
    aligner = Aligner(CONFIG)
    aligner.set_codebooks(torch.randn(2, V, 8))
    return aligner.eval()


def save_aligner(path: Path, quantizer: str, seed: int = 0, codebook_size: int = 1024) -> Aligner:
    """Write one with random weights that names its quantizer, and return it."""
    torch.manual_seed(seed)
    codes = CodeConfig(levels=2, codebook_size=codebook_size, dim=8)
    config = replace(CONFIG, codes=codes, num_blocks=1)
    aligner = Aligner(config)
    aligner.set_codebooks(torch.randn(2, codebook_size, 8))
    values, provenance = config_to_dict(config), {"quantizer": quantizer}
    save_component(path, aligner, kind="aligner", config=values, provenance=provenance)
    return aligner.eval()
