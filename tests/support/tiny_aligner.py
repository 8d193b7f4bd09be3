"""A tiny aligner."""

from __future__ import annotations

import torch

from gsv2.models.aligner.model import Aligner, AlignerConfig
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
