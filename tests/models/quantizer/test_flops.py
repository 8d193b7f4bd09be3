from __future__ import annotations

import pytest
import torch

from gsv2.models.quantizer.flops import quantizer_flops_per_frame
from gsv2.models.quantizer.model import Quantizer, QuantizerConfig
from gsv2.nn.codes import CodeConfig
from gsv2.nn.flops import flop_counter


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("rate_hz", [25.0, 50.0])
def test_a_frame_costs_what_is_counted_in_a_real_pass(groups: int, rate_hz: float) -> None:
    """The search, which the VQ library does in its own way, is added by hand."""
    codes = CodeConfig(groups=groups, levels=3, codebook_size=16, dim=8, rate_hz=rate_hz)
    config = QuantizerConfig(codes=codes, width=8, num_blocks=2)
    quantizer = Quantizer(config)
    quantizer.codebooks.requires_grad_(False)
    features = torch.randn(2, 20, len(quantizer.feature_mean))
    with flop_counter() as counter:
        latents, mask = quantizer.encoder(features, torch.ones(2, 20, dtype=torch.bool))
        (quantizer.decoder(latents, mask)[:, :20]).square().mean().backward()
    frames, code_frames = 2 * 20, 2 * 20 // config.stride
    distances = 2 * code_frames * (3 * groups) * 16 * (8 // groups)
    expected = (counter.get_total_flops() + distances) / frames
    assert quantizer_flops_per_frame(config) == pytest.approx(expected)


def test_counting_takes_no_random_numbers() -> None:
    """Else a run with a known peak would differ from one without."""
    state = torch.get_rng_state()
    assert quantizer_flops_per_frame(QuantizerConfig()) > 1e6
    assert torch.equal(state, torch.get_rng_state())
