import pytest
import torch

from gsv2.audio.multi_resolution import MultiResolutionSpectrogram, ResolutionsConfig

TWO = ResolutionsConfig(n_fft=(256, 1024), hop_length=(64, 240), win_length=(200, 1024))


def test_each_resolution_has_its_bins_and_frames() -> None:
    magnitudes = MultiResolutionSpectrogram(TWO)(torch.randn(2, 1, 2400))
    assert [tuple(m.shape) for m in magnitudes] == [(2, 129, 37), (2, 513, 10)]


def test_magnitudes_are_those_of_torch() -> None:
    wave = torch.randn(1, 1, 2400)
    magnitude = MultiResolutionSpectrogram(TWO)(wave)[0]
    window = torch.hann_window(200)
    padded = torch.nn.functional.pad(wave[0], (96, 96))
    expected = torch.stft(padded, 256, 64, 200, window, center=False, return_complex=True)
    torch.testing.assert_close(magnitude, expected.abs(), rtol=0, atol=1e-3)


def test_empty_lists_are_no_resolution() -> None:
    assert len(ResolutionsConfig()) == 0
    assert MultiResolutionSpectrogram(ResolutionsConfig())(torch.randn(1, 1, 640)) == []


@pytest.mark.parametrize(
    ("n_fft", "hop", "win", "message"),
    [
        ((256,), (64, 64), (256,), r"equally many, but are \[256\], \[64, 64\], \[256\]"),
        ((256,), (0,), (256,), "they are 0, 256, 256"),
        ((256,), (64,), (512,), "they are 64, 512, 256"),
        ((256, 256), (64, 300), (256, 256), "they are 300, 256, 256"),
    ],
)
def test_lengths_that_do_not_fit_are_refused(
    n_fft: tuple[int, ...], hop: tuple[int, ...], win: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        ResolutionsConfig(n_fft=n_fft, hop_length=hop, win_length=win)
