"""Floating-point operations that training the aligner on a code frame needs."""

from __future__ import annotations

import torch

from gsv2.models.aligner.model import Aligner, AlignerConfig
from gsv2.nn.flops import flop_counter

_CODE_FRAMES = 8
"""Number of code frames that are counted; every frame costs the same."""


def aligner_flops_per_frame(config: AlignerConfig) -> tuple[float, float]:
    """Return what a frame costs, forward and backward: one that counts once, one that is doubled.

    Counted with real tensors of a few frames: the choice of the rate looks at their values.
    """
    aligner = Aligner(config)
    codes = torch.zeros(1, config.codes.num_codebooks, _CODE_FRAMES, dtype=torch.int64)
    lengths = torch.tensor([_CODE_FRAMES])
    costs = []
    for doubled in (False, True):
        with flop_counter() as counter:
            aligner(codes, lengths, torch.tensor([doubled])).logits.sum().backward()
        costs.append(counter.get_total_flops() / _CODE_FRAMES)
    return costs[0], costs[1]
