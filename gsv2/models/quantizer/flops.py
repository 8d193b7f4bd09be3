"""Floating-point operations that training the quantizer on given frames needs.

Those of the convolutions are counted on networks without memory (the meta device); the search in
the codebooks is a product with all entries of each, forward only.
"""

from __future__ import annotations

import torch

from gsv2.models.quantizer.model import Quantizer, QuantizerConfig
from gsv2.nn.flops import flop_counter

_CODE_FRAMES = 8
"""Number of code frames that are counted; every frame costs the same."""


def quantizer_flops_per_frame(config: QuantizerConfig) -> float:
    """Return what one frame of speech features costs, forward and backward."""
    num_frames, codes = _CODE_FRAMES * config.stride, config.codes
    with torch.device("meta"):
        quantizer = Quantizer(config)
        features = torch.zeros(1, num_frames, len(quantizer.feature_mean))
        mask = torch.ones(1, num_frames, dtype=torch.bool)
        with flop_counter() as counter:
            latents, slow_mask = quantizer.encoder(features, mask)
            quantizer.decoder(latents, slow_mask).sum().backward()
    # A multiplication and an addition for each element of each entry of each level.
    search = 2 * codes.levels * codes.codebook_size * codes.dim * _CODE_FRAMES
    return (counter.get_total_flops() + search) / num_frames
