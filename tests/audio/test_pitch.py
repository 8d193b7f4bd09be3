import numpy as np
import pytest
import torch

from gsv2.audio.pitch import median_pitch, track_pitch
from tests.support.tiny_corpus import synthetic_wave

RATE, HOP = 32_000, 640


def harmonics(hz: float, seconds: float = 1.0, first: int = 1) -> torch.Tensor:
    time = np.arange(round(RATE * seconds)) / RATE
    waves = [np.sin(2 * np.pi * hz * k * time + k) / k for k in range(first, first + 6)]
    return torch.from_numpy((0.1 * np.sum(waves, axis=0)).astype(np.float32))


def track(wave: torch.Tensor) -> torch.Tensor:
    return track_pitch(wave[None], RATE, HOP)[0]


@pytest.mark.parametrize("hz", [61.0, 100.0, 137.3, 250.0, 480.0])
def test_a_steady_pitch_is_found_within_a_thousandth(hz):
    found = track(harmonics(hz))
    assert found.shape == (50,)
    torch.testing.assert_close(found[2:-2], torch.full((46,), hz), rtol=1e-3, atol=0)


def test_a_missing_fundamental_is_heard():
    assert track(harmonics(150.0, first=2)).median().item() == pytest.approx(150.0, rel=5e-3)


def test_frames_lie_about_the_middles_of_their_hops():
    """A sine whose frequency rises evenly has at each middle the frequency of that moment."""
    time = torch.arange(RATE, dtype=torch.float64) / RATE
    wave = (2 * torch.pi * (100 * time + 50 * time**2)).sin().float()  # 100 Hz rising to 200 Hz
    expected = 100 + 100 * (torch.arange(50) + 0.5) * HOP / RATE
    torch.testing.assert_close(track(wave)[3:-3], expected[3:-3], rtol=0.01, atol=0)


@pytest.mark.parametrize("hz", [80.0, 140.0, 220.0, 400.0])
def test_the_median_of_a_glide_in_noise_is_near_its_middle(hz):
    found = track(torch.from_numpy(synthetic_wave(1.5, hz, np.random.default_rng(0))))
    assert found[found > 0].median().item() == pytest.approx(hz, rel=0.03)


def test_noise_silence_and_pauses_have_no_pitch():
    noise = torch.randn(RATE, generator=torch.Generator().manual_seed(0))
    assert not track(noise).any()
    assert not track(torch.zeros(RATE)).any()
    pause = torch.zeros(RATE // 2)
    found = track(torch.cat([harmonics(120.0), pause, harmonics(240.0)]))
    assert 20 < (found == 0).sum() < 30  # half a second in steps of 20 ms
    assert found[:48].median().item() == pytest.approx(120.0, rel=1e-3)
    assert found[-48:].median().item() == pytest.approx(240.0, rel=1e-3)


def test_a_clip_in_a_batch_has_the_pitch_that_it_has_alone():
    short, long = harmonics(120.0, 0.5), harmonics(210.0)
    padded = torch.stack([torch.nn.functional.pad(short, (0, len(long) - len(short))), long])
    together = track_pitch(padded, RATE, HOP)
    torch.testing.assert_close(together[1], track(long))
    torch.testing.assert_close(
        together[0, :23], track(short)[:23]
    )  # up to where frames see the end


def test_less_than_a_hop_has_no_frame():
    assert track_pitch(torch.zeros(2, HOP - 1), RATE, HOP).shape == (2, 0)


@pytest.mark.parametrize("hz", [61.0, 137.3, 480.0])
def test_the_median_of_a_steady_pitch_is_that_pitch(hz):
    assert median_pitch(harmonics(hz).numpy(), RATE) == pytest.approx(hz, rel=1e-3)


def test_noise_silence_and_clicks_have_no_median():
    noise = np.random.default_rng(0).standard_normal(RATE).astype(np.float32)
    for wave in (noise, np.zeros(RATE, dtype=np.float32), harmonics(100.0, seconds=0.03).numpy()):
        assert median_pitch(wave, RATE) is None
