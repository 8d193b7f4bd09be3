import numpy as np
import pytest
import torch
from scipy.signal import get_window

from gsv2.audio.multi_resolution import MultiResolutionSpectrogram, ResolutionsConfig
from gsv2.losses.stft import log_magnitude_distance, spectral_convergence, stft_loss

RESOLUTIONS = ResolutionsConfig(n_fft=(256, 512), hop_length=(64, 100), win_length=(256, 400))


def _magnitudes(wave: np.ndarray, n_fft: int, hop: int, win: int) -> np.ndarray:
    window = np.zeros(n_fft)
    window[(n_fft - win) // 2 : (n_fft - win) // 2 + win] = get_window("hann", win)
    context = n_fft - hop
    padded = np.pad(wave, (context // 2, context - context // 2))
    starts = range(0, len(padded) - n_fft + 1, hop)
    return np.abs([np.fft.rfft(padded[s : s + n_fft] * window) for s in starts])


def _reference(fake: np.ndarray, real: np.ndarray) -> float:
    """Parallel WaveGAN's equations on one pair of waves."""
    terms = []
    for place in zip(
        RESOLUTIONS.n_fft, RESOLUTIONS.hop_length, RESOLUTIONS.win_length, strict=True
    ):
        x, y = _magnitudes(real, *place), _magnitudes(fake, *place)
        convergence = np.linalg.norm(x - y) / np.linalg.norm(x)
        terms.append(convergence + np.abs(np.log(x) - np.log(y)).mean())
    return float(np.mean(terms))


def _loss(fake: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    spectrograms = MultiResolutionSpectrogram(RESOLUTIONS)
    return stft_loss(spectrograms(fake), spectrograms(real))


def test_it_is_the_mean_over_clips_of_a_numpy_reference() -> None:
    torch.manual_seed(0)
    fake, real = torch.randn(2, 3, 1, 2000)
    fake[0] *= 0.1  # clips of unlike loudness do not outweigh one another
    pairs = zip(fake[:, 0].double().numpy(), real[:, 0].double().numpy(), strict=True)
    expected = np.mean([_reference(*pair) for pair in pairs])
    assert _loss(fake, real).item() == pytest.approx(expected, rel=1e-3)


def test_equal_waves_have_none() -> None:
    wave = torch.randn(2, 1, 2000)
    assert _loss(wave, wave.clone()) == 0


def test_convergence_is_a_share_and_logarithms_know_the_ratio() -> None:
    target = torch.rand(2, 5, 7) + 0.5
    assert spectral_convergence(1.5 * target, target).item() == pytest.approx(0.5)
    assert log_magnitude_distance(2 * target, target).item() == pytest.approx(np.log(2), rel=1e-5)


@pytest.mark.parametrize("level", [0.0, 1e-6])
@pytest.mark.parametrize("of_fake", [0.0, 0.1])
def test_loss_and_gradient_are_finite_and_bounded_at_silence(level: float, of_fake: float) -> None:
    real = level * torch.randn(1, 1, 2000)
    fake = (of_fake * torch.randn(1, 1, 2000)).requires_grad_()
    loss = _loss(fake, real)
    loss.backward()
    assert loss.isfinite()
    assert loss < 100
    assert fake.grad is not None
    assert fake.grad.isfinite().all()


def test_it_stays_fp32_under_autocast_and_is_zero_without_a_resolution() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert _loss(torch.randn(1, 1, 800), torch.randn(1, 1, 800)).dtype == torch.float32
    assert stft_loss([], []) == 0
