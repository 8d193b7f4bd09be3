import math
from itertools import pairwise

import pytest
import torch

from gsv2.audio.inverse_stft import inverse_stft
from gsv2.models.vits2.harmonic_source import (
    HarmonicStream,
    PitchHead,
    SpectraStream,
    frame_spectra,
    harmonic_wave,
    median_factor,
    move_pitch,
    own_median,
)

RATE, HOP = 32_000, 640


@pytest.mark.parametrize("hz", [60.0, 123.4, 499.0])
def test_a_steady_pitch_is_a_sum_of_cosines_below_the_nyquist_frequency(hz):
    wave = harmonic_wave(torch.full((1, 10), hz), HOP, RATE)
    assert wave.shape == (1, 10 * HOP)
    count = int(RATE / 2 / hz)
    phase = 2 * math.pi * hz * (torch.arange(10 * HOP, dtype=torch.float64) + 1) / RATE
    expected = sum((k * phase).cos() for k in range(1, count + 1)) * math.sqrt(2 / count)
    torch.testing.assert_close(wave[0].double(), expected, atol=2e-2, rtol=1e-3)
    assert wave.square().mean().item() == pytest.approx(1, rel=0.05)


def test_a_glide_has_no_jump_of_phase():
    """Each pulse comes a period after the one before."""
    hz = torch.linspace(100, 200, 50)[None]
    wave = harmonic_wave(hz, HOP, RATE)[0]
    peaks = ((wave[1:-1] > wave[:-2]) & (wave[1:-1] > wave[2:]) & (wave[1:-1] > 5)).nonzero()[:, 0]
    periods = peaks.diff().float()
    assert periods.min() >= RATE / 200 - 2
    assert periods.max() <= RATE / 100 + 2
    assert (periods.diff() <= 2).all()


def test_frames_without_a_pitch_are_silent():
    hz = torch.full((1, 20), 120.0)
    hz[0, 5:15] = 0
    wave = harmonic_wave(hz, HOP, RATE)[0]
    assert not wave[6 * HOP : 14 * HOP].any()
    assert wave[: 5 * HOP].any()
    assert wave[15 * HOP :].any()
    assert harmonic_wave(torch.zeros(1, 4), HOP, RATE).abs().max() == 0


@pytest.mark.parametrize(("n_fft", "hop"), [(2048, 640), (1024, 321)])
def test_spectra_are_those_that_the_inverse_transform_puts_together(n_fft, hop):
    wave, window = torch.randn(2, 12 * hop), torch.hann_window(n_fft)
    spectra = frame_spectra(wave, window, hop)
    assert spectra.shape == (2, 12, n_fft // 2 + 1)
    again = inverse_stft(spectra * window.square().sum().sqrt(), window, hop)
    inner = slice(n_fft, -n_fft)
    torch.testing.assert_close(again[:, inner], wave[:, inner], atol=1e-4, rtol=1e-4)


def test_spectra_of_noise_of_power_1_have_power_1():
    spectra = frame_spectra(torch.randn(4, 100 * HOP), torch.hann_window(2048), HOP)
    assert spectra[:, 2:-2].abs().square().mean().item() == pytest.approx(1, rel=0.05)


def test_medians_are_moved_and_intervals_kept():
    hz = torch.tensor([[100.0, 0.0, 120.0, 150.0], [100.0, 0.0, 120.0, 150.0], [0.0] * 4])
    moved = move_pitch(hz, median_factor(own_median(hz), torch.tensor([240.0, 0.0, 240.0])))
    torch.testing.assert_close(moved[0], torch.tensor([200.0, 0.0, 240.0, 300.0]))
    assert torch.equal(moved[1:], hz[1:])


@pytest.mark.parametrize("cuts", [[0, 20], [0, 0, 1, 2, 9, 9, 20], [0, 19, 20], [0, 20, 20]])
def test_pieces_of_a_source_are_those_of_the_whole(cuts):
    torch.manual_seed(0)
    hz = 100 + 100 * torch.rand(2, 20)
    hz[0, 5:9] = hz[1, :3] = hz[0, 18:] = 0
    wave = harmonic_wave(hz, HOP, RATE)
    source = HarmonicStream(HOP, RATE)
    pairs = list(pairwise(cuts))
    parts = [
        source.push(hz[:, a:b], is_last=number == len(pairs) - 1)
        for number, (a, b) in enumerate(pairs)
    ]
    joined = torch.cat(parts, dim=1)
    assert joined.shape == wave.shape
    # Where rounding decides of one harmonic more or less, it is one of a hundred.
    assert (joined - wave).abs().mean() < 1e-3
    torch.testing.assert_close(joined, wave, atol=0.3, rtol=0)


@pytest.mark.parametrize(("n_fft", "hop", "multiple"), [(2048, 640, 1), (512, 160, 4)])
def test_pieces_of_spectra_are_those_of_the_whole(n_fft, hop, multiple):
    wave, window = torch.randn(2, 24 * hop), torch.hann_window(n_fft)
    stream = SpectraStream(window, hop)
    cuts = [0, 0, 5, 3000, 3000, 24 * hop]
    parts = [
        stream.push(wave[:, a:b], is_last=b == 24 * hop, multiple=multiple)
        for a, b in pairwise(cuts)
    ]
    assert all(part.shape[1] % multiple == 0 for part in parts)
    torch.testing.assert_close(torch.cat(parts, dim=1), frame_spectra(wave, window, hop))


def test_a_head_says_pitches_of_people_or_none():
    head = PitchHead(8)
    torch.nn.init.normal_(head.project.weight, std=3)
    hz = head(torch.randn(2, 100, 8)).hz()
    assert ((hz == 0) | ((hz >= 60) & (hz <= 500))).all()
    assert (hz == 0).any()
    assert (hz > 0).any()
