from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from gsv2.audio.multi_resolution import ResolutionsConfig
from gsv2.config import load_config
from gsv2.models.vits2.flops import VITS2Flops
from gsv2.stages import SCHEMAS
from tests.support.tiny_vits2 import make_stage

SHALLOW = (
    "content.num_layers=1", "content.style_layer=0", "text.durations.num_blocks=1",
    "posterior.num_layers=1", "flow.num_couplings=1", "flow.wavenet.num_layers=1",
    "generator.istft.num_blocks=1",
)  # fmt: skip
"""Every layer is counted for seconds, and one of a kind shows whether its kind can be."""


def test_a_shipped_network_can_be_counted() -> None:
    """With the generator, the posterior and the discriminators of spectra that ours has not."""
    shallow = [f"model.generator.{override}" for override in SHALLOW]
    section = load_config("vits2/text_debug", shallow, SCHEMAS).model
    spectra = ResolutionsConfig(n_fft=(512,), hop_length=(50,), win_length=(240,))
    judges = replace(section.discriminator.network(), resolutions=spectra)
    flops = VITS2Flops(section.generator, judges, section.segment_frames)
    assert flops.discriminator_update > 2 * flops.judgement / 3 > 0
    assert flops.generator([100], [20]) > flops.generator([64], [10]) > 0


def test_counting_takes_no_random_numbers(tmp_path: Path) -> None:
    """Else a run with a known peak would differ from one without."""
    stage = make_stage(tmp_path)
    state = torch.get_rng_state()
    assert VITS2Flops(stage.model_config, stage.section.discriminator, 8).judgement > 0
    assert torch.equal(state, torch.get_rng_state())
