import numpy as np
import pytest
import torch

from gsv2.audio.mel import MelConfig, MelSpectrogram, Spectrogram, mel_filters

AT_16_KHZ = MelConfig(sample_rate=16_000, n_fft=1024, win_length=800, hop_length=320, num_mels=80)


def _noise(num_samples: int, batch: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(batch, 1, num_samples, generator=generator) * 0.1


@pytest.mark.parametrize("config", [MelConfig(), AT_16_KHZ])
@pytest.mark.parametrize("extra", [0, 1, 319])
def test_n_samples_give_n_over_hop_frames(config: MelConfig, extra: int) -> None:
    mel = MelSpectrogram(config)(_noise(7 * config.hop_length + extra, batch=2))
    assert mel.shape == (2, config.num_mels, 7)
    assert mel.dtype == torch.float32


@pytest.mark.parametrize("config", [MelConfig(), AT_16_KHZ])
def test_magnitudes_are_those_of_numpy(config: MelConfig) -> None:
    wave = _noise(5000)
    window = np.hanning(config.win_length + 1)[:-1]
    side = (config.n_fft - config.win_length) // 2
    window = np.pad(window, (side, config.n_fft - config.win_length - side))
    padded = np.pad(wave[0, 0].double().numpy(), (config.n_fft - config.hop_length) // 2)
    frames = [
        np.abs(np.fft.rfft(padded[start : start + config.n_fft] * window))
        for start in range(0, 5000 // config.hop_length * config.hop_length, config.hop_length)
    ]
    got = Spectrogram(config)(wave)[0].T.numpy()
    np.testing.assert_allclose(got, np.stack(frames), rtol=1e-3, atol=1e-4)


def _slaney_mel(hz: float) -> float:
    return hz / (200 / 3) if hz < 1000 else 15 + 27 * np.log(hz / 1000) / np.log(6.4)


def _slaney_hz(mel: float) -> float:
    return mel * 200 / 3 if mel < 15 else 1000 * 6.4 ** ((mel - 15) / 27)


@pytest.mark.parametrize("config", [MelConfig(), AT_16_KHZ, MelConfig(f_min=50, f_max=14_000)])
def test_filters_are_triangles_of_equal_area_on_slaneys_scale(config: MelConfig) -> None:
    low, high = _slaney_mel(config.f_min), _slaney_mel(config.upper_edge_hz)
    edges = [_slaney_hz(mel) for mel in np.linspace(low, high, config.num_mels + 2)]
    bins = np.linspace(0, config.sample_rate / 2, config.num_bins)
    triangles = [
        np.interp(bins, edges[i : i + 3], [0, 2 / (edges[i + 2] - edges[i]), 0])
        for i in range(config.num_mels)
    ]
    expected = torch.tensor(np.stack(triangles), dtype=torch.float32)
    torch.testing.assert_close(mel_filters(config), expected, rtol=1e-3, atol=2e-6)


def test_zeros_behind_a_wave_do_not_change_its_frames() -> None:
    wave = _noise(6400)
    mel = MelSpectrogram(MelConfig())
    padded = torch.nn.functional.pad(wave, (0, 5000))
    torch.testing.assert_close(mel(padded)[..., :10], mel(wave), rtol=0, atol=1e-5)


def test_mel_of_a_spectrogram_equals_mel_of_its_wave() -> None:
    wave, mel = _noise(6400), MelSpectrogram(MelConfig())
    torch.testing.assert_close(mel.from_spectrogram(mel.spectrogram(wave)), mel(wave))


def test_silence_has_a_finite_gradient() -> None:
    wave = torch.zeros(1, 1, 3200, requires_grad=True)
    MelSpectrogram(MelConfig())(wave).sum().backward()
    assert wave.grad is not None
    assert wave.grad.isfinite().all()


def test_autocast_does_not_reach_inside() -> None:
    wave, mel = _noise(6400), MelSpectrogram(MelConfig())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(mel(wave.bfloat16().float()), mel(wave), rtol=0, atol=0.3)
        assert mel(wave).dtype == torch.float32
        torch.testing.assert_close(mel(wave), MelSpectrogram(MelConfig())(wave))


def test_a_wave_without_a_frame_is_refused() -> None:
    with pytest.raises(ValueError, match=r"at least hop_length \(640\) samples, but has 639"):
        Spectrogram(MelConfig())(_noise(639))


def test_impossible_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="win_length <= n_fft"):
        MelConfig(n_fft=1024, win_length=2048)
    with pytest.raises(ValueError, match="f_max"):
        MelConfig(f_max=20_000)
