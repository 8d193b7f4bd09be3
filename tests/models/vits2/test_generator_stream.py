"""Generators whose latents come piece by piece."""

from itertools import pairwise

import pytest
import torch

from gsv2.models.vits2.generator import GeneratorConfig, make_generator
from gsv2.models.vits2.generator_stream import PitchMove, stream_generator
from gsv2.models.vits2.harmonic_source import own_median
from gsv2.models.vits2.istft_generator import ISTFTConfig

T, HOP = 60, 640
NARROW = {"channels": 8, "stage_channels": (8, 4, 4, 4, 4)}
CONFIGS = {
    "hifigan": GeneratorConfig(**NARROW),
    "hifigan, small": GeneratorConfig(**NARROW, block_kernels=(3,), block_dilations=(1,)),
    "istft": GeneratorConfig(kind="istft", istft=ISTFTConfig(dim=16, num_blocks=2)),
    "harmonic": GeneratorConfig(
        kind="istft", istft=ISTFTConfig(dim=16, num_blocks=3, source="harmonic")
    ),
    "four spectra a frame": GeneratorConfig(
        kind="istft",
        istft=ISTFTConfig(dim=16, num_blocks=2, source="harmonic", n_fft=512, spectra_per_frame=4),
    ),
}
CUTS = [[0, T], [0, 0, 1, 2, 25, 26, 26, 50, T, T], [0, 30, T]]


@pytest.fixture(params=CONFIGS)
def generator(request):
    torch.manual_seed(0)
    made = make_generator(8, CONFIGS[request.param], 4, 32_000).eval()
    if getattr(made, "has_pitch", False):  # untrained, it says one pitch
        torch.nn.init.normal_(made.pitch.project.weight, std=0.3)
    return made


def pushed(stream, z, cuts):
    pairs = list(pairwise(cuts))
    with torch.no_grad():
        return [
            stream.push(z[:, :, start:stop], is_last=number == len(pairs) - 1)
            for number, (start, stop) in enumerate(pairs)
        ]


@pytest.mark.parametrize("cuts", CUTS)
@torch.no_grad()
def test_what_comes_is_what_the_generator_makes_at_once(generator, cuts):
    z, style = torch.randn(1, 8, T), torch.randn(1, 4)
    waves = pushed(stream_generator(generator, style, PitchMove()), z, cuts)
    expected = generator(z, style)[:, 0]
    # A period is summed of one harmonic more or less where rounding decides.
    tolerance = 2e-2 if getattr(generator, "has_pitch", False) else 1e-5
    torch.testing.assert_close(torch.cat(waves, dim=1), expected, atol=tolerance, rtol=0)
    assert (torch.cat(waves, dim=1) - expected).abs().mean() < 1e-4


def test_samples_come_before_the_last_latent_and_nothing_is_held_back_for_long(generator):
    z, style = torch.randn(1, 8, T), torch.randn(1, 4)
    cuts = [*range(0, T + 1, 10)]
    counts = [
        wave.shape[1] for wave in pushed(stream_generator(generator, style, PitchMove()), z, cuts)
    ]
    assert sum(counts) == T * HOP
    assert sum(counts[:3]) > 0
    assert sum(counts[:-1]) >= (T - 10 - 20) * HOP


@torch.no_grad()
def test_nothing_beyond_the_reach_of_hifigan_is_heard():
    """By perturbation: the samples that a latent moves lie in the frames that it reaches."""
    torch.manual_seed(0)
    made = make_generator(8, CONFIGS["hifigan"], 4, 32_000).eval()
    z, style = torch.randn(1, 8, T), torch.randn(1, 4)
    other = z.clone()
    other[:, :, T // 2] += 1.0
    moved = ((made(z, style) != made(other, style))[0, 0].nonzero()[:, 0] // HOP).unique()
    assert int(T // 2 - moved.min()) <= made.reach_frames
    assert int(moved.max() - T // 2) <= made.reach_frames
    assert made.reach_frames <= int(T // 2 - moved.min()) + 2  # and hardly more is computed twice


@torch.no_grad()
def test_a_pitch_is_moved_by_one_factor_which_the_first_frames_decide_unless_it_is_known():
    hz = torch.tensor([[100.0, 0.0, 120.0, 150.0, 90.0, 90.0]])
    wanted = torch.tensor([240.0])
    for own, factor in ((None, 2.0), (torch.tensor([80.0]), 3.0)):
        move = PitchMove(wanted, own)
        moved = torch.cat([move.move(part) for part in (hz[:, :0], hz[:, :4], hz[:, 4:])], dim=1)
        torch.testing.assert_close(moved, (hz * factor).clamp(max=500.0))
    for move in (PitchMove(), PitchMove(torch.zeros(1)), PitchMove(wanted, torch.zeros(1))):
        assert torch.equal(move.move(hz), hz)
    assert own_median(torch.zeros(1, 3)).isnan().all()
