"""Codes that come piece by piece, as sound."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from gsv2.models.vits2.generator import GeneratorConfig
from gsv2.models.vits2.generator_stream import PitchMove, stream_generator
from gsv2.models.vits2.istft_generator import ISTFTConfig
from gsv2.models.vits2.model import VITS2
from gsv2.models.vits2.wave_stream import (
    PositionNoise,
    PriorNoise,
    WaveStream,
    WaveWindows,
    spoken_pitch,
)
from tests.support.tiny_bundle import tiny_modules

WINDOWS = WaveWindows(first=4, most=8, before=5, after=3)
HARMONIC = GeneratorConfig(
    kind="istft",
    istft=ISTFTConfig(dim=16, num_blocks=2, source="harmonic", n_fft=512, spectra_per_frame=4),
)


def make_model(generator: GeneratorConfig | None = None) -> VITS2:
    model = tiny_modules()["generator"]
    if generator is not None:
        torch.manual_seed(0)
        books = model.code_vectors.codebooks
        model = VITS2(replace(model.config, generator=generator))
        model.code_vectors.set_codebooks(books)
        torch.nn.init.normal_(model.generator.pitch.project.weight, std=0.3)
    for coupling in model.flow.couplings:  # a new one is the identity
        torch.nn.init.normal_(coupling.post.weight, std=0.3)
    return model.eval()


@pytest.fixture(scope="module", params=["hifigan", "harmonic"])
def model(request):
    return make_model(HARMONIC if request.param == "harmonic" else None)


def make_codes(T: int) -> torch.Tensor:
    return torch.randint(16, (2, T), generator=torch.Generator().manual_seed(1))


def stream(model, windows=WINDOWS, *, noise_scale=0.5, seed=3):
    style = torch.linspace(-1, 1, 16)[None]
    pitch = PitchMove(torch.tensor([200.0]), torch.tensor([150.0]))
    generator = stream_generator(model.generator, style, pitch)
    return WaveStream(model, style, generator, PriorNoise(noise_scale, seed), windows)


def pushed(stream, codes, sizes):
    waves, start = [], 0
    for size in sizes:
        waves.append(stream.push(codes[:, start : start + size], is_last=False))
        start += size
    waves.append(stream.push(codes[:, start:], is_last=True))
    return waves


@pytest.mark.parametrize("T", [1, 2, 4, 7, 30])
@pytest.mark.parametrize("sizes", [[], [1] * 40, [3, 0, 9, 1], [30, 0]])
def test_samples_are_the_same_whenever_codes_come(model, T, sizes):
    codes = make_codes(T)
    whole = stream(model).push(codes, is_last=True)
    waves = pushed(stream(model), codes, sizes)
    assert whole.shape == (T * 2 * 640,)
    assert torch.equal(torch.cat(waves), whole)


def test_the_first_samples_come_long_before_the_last_code(model):
    waves = pushed(stream(model), make_codes(40), [1] * 40)
    first = next(number for number, wave in enumerate(waves) if len(wave))
    assert first < 25
    assert max(len(wave) for wave in waves[:-1]) <= 2 * WINDOWS.most * 2 * 640


def test_one_window_over_all_speaks_what_the_model_does(model):
    codes, style = make_codes(20), torch.linspace(-1, 1, 16)[None]
    median = torch.tensor([150.0])
    generator = stream_generator(model.generator, style, PitchMove(median))
    wave = WaveStream(model, style, generator, PriorNoise(0.0, 0), None).push(codes, is_last=True)
    expected = model.infer(codes[None], torch.tensor([20]), style, 0.0, median)[0, 0]
    torch.testing.assert_close(wave, expected, atol=1e-4, rtol=1e-4)


def test_windows_that_see_everything_speak_as_one_window(model):
    """What the windows cut is context alone: they leave no seam of their own."""
    codes = make_codes(30)
    wide = WaveWindows(first=4, most=8, before=30, after=30)
    one, many = (stream(model, w).push(codes, is_last=True) for w in (None, wide))
    torch.testing.assert_close(many, one, atol=2e-2, rtol=0)
    assert (many - one).abs().mean() < 1e-4


def test_noise_is_a_function_of_seed_and_place():
    cpu = torch.device("cpu")
    whole = PositionNoise(5, 7, cpu)(0, 20)
    pieces = PositionNoise(5, 7, cpu)
    assert pieces(0, 3).shape == (1, 5, 3)
    assert torch.equal(torch.cat([pieces(0, 1), pieces(1, 11), pieces(11, 20)], dim=2), whole)
    assert not torch.equal(PositionNoise(5, 8, cpu)(0, 20), whole)
    assert PositionNoise(5, -(2**63), cpu)(0, 2).isfinite().all()
    assert np.std(PositionNoise(64, 0, cpu)(0, 500).numpy()) == pytest.approx(1, rel=0.02)


def test_a_model_with_a_source_says_in_which_pitch_it_speaks():
    codes, style = make_codes(20), torch.linspace(-1, 1, 16)[None]
    model = make_model(HARMONIC)
    heard = spoken_pitch(model, codes, style)
    assert 60 <= heard <= 500
    assert spoken_pitch(make_model(), codes, style) == 0.0


@pytest.mark.parametrize(
    "values", [{"first": 0}, {"most": 3, "first": 4}, {"after": 0}, {"before": -1}]
)
def test_windows_that_get_nowhere_are_refused(values):
    with pytest.raises(ValueError, match="must be at least"):
        WaveWindows(**values)
