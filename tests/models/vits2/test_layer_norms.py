"""Normalisations of weights: the largest singular value, against torch's decomposition."""

from __future__ import annotations

from dataclasses import replace

import torch

from gsv2.audio.multi_resolution import ResolutionsConfig
from gsv2.models.vits2.discriminators import DiscriminatorConfig, MultiDiscriminator
from gsv2.models.vits2.layer_norms import normalise

TINY = DiscriminatorConfig(
    periods=(2, 17, 23),
    period_channels=(4, 8),
    scale_channels=(4, 8, 8),
    scale_kernel=11,
    resolutions=ResolutionsConfig(n_fft=(512,), hop_length=(50,), win_length=(240,)),
    resolution_channels=4,
)


def test_a_spectral_norm_is_the_largest_singular_value() -> None:
    torch.manual_seed(0)
    layer = torch.nn.Conv1d(6, 8, 5)
    weight = layer.weight.detach().flatten(1)
    normalise(layer, "spectral")
    for _ in range(30):
        layer(torch.randn(1, 6, 9))
    expected = weight / torch.linalg.matrix_norm(weight, 2)
    torch.testing.assert_close(layer.weight.flatten(1), expected, rtol=1e-3, atol=1e-4)


def test_every_layer_of_every_judge_has_the_norm_and_long_periods_judge_too() -> None:
    torch.manual_seed(0)
    judges = MultiDiscriminator(replace(TINY, norm="spectral"))
    convolutions = [m for m in judges.modules() if isinstance(m, torch.nn.Conv1d | torch.nn.Conv2d)]
    assert all("weight" in getattr(layer, "parametrizations", {}) for layer in convolutions)
    assert not any("original0" in name for name, _ in judges.named_parameters())
    logits, _ = judges(torch.randn(2, 1, 1000))
    assert [len(part) for part in logits] == [2, 4, 34, 46, 2]
    torch.stack([part.square().mean() for part in logits]).sum().backward()
    assert [name for name, p in judges.named_parameters() if p.grad is None] == []
    assert judges.state_dict().keys() == MultiDiscriminator(judges.config).state_dict().keys()
