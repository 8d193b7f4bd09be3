import pytest
import torch

from gsv2.models.vits2.spectrum_heads import FilterHead, SpectrumHead

DIM, N_FFT, NUM_BINS = 16, 128, 65


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def _source(num_frames: int = 5) -> torch.Tensor:
    return torch.randn(2, num_frames, NUM_BINS, dtype=torch.complex64)


def test_under_autocast_heads_compute_in_fp32() -> None:
    x, source = torch.randn(2, 5, DIM), _source()
    spectrum, filters = SpectrumHead(DIM, N_FFT), FilterHead(DIM, N_FFT).eval()
    expected = spectrum(x), filters(x, source)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = spectrum(x), filters(x, source)
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == torch.complex64
        assert a.shape == (2, 5, NUM_BINS)
        assert torch.equal(a, b)


def test_a_spectrum_is_its_magnitude_and_phase() -> None:
    head, x = SpectrumHead(DIM, N_FFT), torch.randn(2, 5, DIM)
    log_magnitude, phase = (x @ head.weight.T + head.bias).chunk(2, dim=-1)
    torch.testing.assert_close(head(x), torch.polar(log_magnitude.exp(), phase))


@torch.no_grad()
def test_a_filter_scales_the_source_and_turns_it_by_no_phase_at_first() -> None:
    head, x, source = FilterHead(DIM, N_FFT).eval(), torch.randn(2, 5, DIM), _source()
    head.bias[2 * NUM_BINS :] = -100.0  # no noise
    log_gain = x @ head.weight[:NUM_BINS].T
    torch.testing.assert_close(head(x, source), log_gain.exp() * source)


@torch.no_grad()
def test_noise_has_power_1_and_is_new_in_training_alone() -> None:
    head, x, silence = FilterHead(DIM, N_FFT), torch.zeros(2, 600, DIM), 0 * _source(600)
    assert not torch.equal(head(x, silence), head(x, silence))
    assert head(x, silence).abs().square().mean().item() == pytest.approx(1, rel=0.02)
    head.eval()
    noise = head(x, silence)
    assert torch.equal(noise, head(x, silence))
    assert torch.equal(noise[0], noise[1])
    assert noise.abs().square().mean().item() == pytest.approx(1, rel=0.02)


def test_magnitudes_are_cut_before_they_run_away() -> None:
    head = FilterHead(DIM, N_FFT).eval()
    with torch.no_grad():
        head.bias += 1000.0
    assert head(torch.randn(2, 5, DIM), _source()).abs().max() < 1e4
