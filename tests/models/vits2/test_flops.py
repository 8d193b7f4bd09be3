from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from gsv2.audio.multi_resolution import ResolutionsConfig
from gsv2.config import load_config
from gsv2.models.vits2.flops import VITS2Flops
from gsv2.stages import SCHEMAS

SHALLOW = (
    "content.num_layers=1", "content.style_layer=0", "text.durations.num_blocks=1",
    "text.durations.num_couplings=1",
    "posterior.num_layers=1", "flow.num_couplings=1", "flow.wavenet.num_layers=1",
    "generator.istft.num_blocks=1",
)  # fmt: skip
"""Every layer is counted for seconds, and one of a kind shows whether its kind can be."""


@pytest.mark.long
def test_a_shipped_network_can_be_counted_without_random_numbers() -> None:
    """With the generator, the posterior and the discriminators of spectra that ours has not.

    Else a run with a known peak would differ from one without.
    """
    state = torch.get_rng_state()
    shallow = [f"model.generator.{override}" for override in SHALLOW]
    section = load_config("vits2/text_debug", shallow, SCHEMAS).model
    spectra = ResolutionsConfig(n_fft=(512,), hop_length=(50,), win_length=(240,))
    judges = replace(section.discriminator.network(), periods=(2,), resolutions=spectra)
    flops = VITS2Flops(section.generator, judges, section.segment_frames)
    assert flops.discriminator_update > 2 * flops.judgement / 3 > 0
    assert flops.generator([100], [20]) > flops.generator([64], [10]) > 0
    assert torch.equal(state, torch.get_rng_state())
