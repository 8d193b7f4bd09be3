import numpy as np
import pytest
import soxr
import torch

from gsv2.audio.speech_encoders.resampling import HalfRate


def tone(hz: float, rate: int, num_samples: int) -> torch.Tensor:
    return torch.sin(2 * torch.pi * hz * torch.arange(num_samples) / rate)


@pytest.mark.parametrize("hz", [100.0, 1000.0, 6000.0])
def test_a_tone_that_both_rates_hold_stays_where_it_was(hz: float) -> None:
    slow, lengths = HalfRate()(tone(hz, 32_000, 8001)[None, None], torch.tensor([8001]))
    assert lengths.tolist() == [4000]
    inner = slice(200, -200)
    expected = tone(hz, 16_000, 4000)
    torch.testing.assert_close(slow[0, inner], expected[inner], rtol=0, atol=2e-3)


def test_a_tone_above_the_lower_rates_limit_is_gone() -> None:
    slow, _ = HalfRate()(tone(9500.0, 32_000, 8000)[None, None], torch.tensor([8000]))
    assert slow[0, 200:-200].abs().max() < 1e-3


def test_noise_is_resampled_as_soxr_does() -> None:
    noise = np.random.default_rng(0).standard_normal(6400).astype(np.float32)
    low = soxr.resample(soxr.resample(noise, 32_000, 14_000), 14_000, 32_000)[:6400]
    slow, _ = HalfRate()(torch.from_numpy(low)[None, None], torch.tensor([len(low)]))
    expected = soxr.resample(low, 32_000, 16_000)
    np.testing.assert_allclose(slow[0, 200:-200], expected[200:3000], atol=5e-3)


@pytest.mark.parametrize("length", [1, 2, 639, 640, 641, 12_345])
def test_a_clip_has_half_its_samples_in_any_batch(length: int) -> None:
    torch.manual_seed(0)
    waves = torch.randn(2, 1, 13_000)
    slow, lengths = HalfRate()(waves, torch.tensor([length, 13_000]))
    alone, _ = HalfRate()(waves[:1, :, :length], torch.tensor([length]))
    assert lengths.tolist() == [length // 2, 6500]
    torch.testing.assert_close(slow[0, : length // 2], alone[0], rtol=0, atol=1e-6)
    assert not slow[0, length // 2 :].any()
