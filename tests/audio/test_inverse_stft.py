from itertools import pairwise

import pytest
import torch

from gsv2.audio.inverse_stft import InverseSTFTStream, inverse_stft, overlap_add
from gsv2.audio.mel import MelConfig
from gsv2.nn.masks import length_mask

LENGTHS = [(2048, 640), (1024, 256), (1280, 640), (512, 50)]


def _spectra(n_fft: int, num_frames: int) -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randn(2, num_frames, n_fft // 2 + 1, dtype=torch.complex64)


@pytest.mark.parametrize(("n_fft", "hop"), LENGTHS)
def test_it_is_torchs_where_that_gives_samples(n_fft: int, hop: int) -> None:
    """Torch begins and ends in the middle of the outer frames, half a hop further inside."""
    spectra, window = _spectra(n_fft, 7), torch.hann_window(n_fft)
    expected = torch.istft(spectra.transpose(1, 2), n_fft, hop, window=window, center=True)
    wave = inverse_stft(spectra, window, hop)
    assert wave.shape == (2, 7 * hop)
    inside = wave[:, hop // 2 : hop // 2 + expected.shape[1]]
    torch.testing.assert_close(inside, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("n_fft", "hop"), LENGTHS)
def test_it_inverts_the_transform_of_a_wave_to_its_ends(n_fft: int, hop: int) -> None:
    wave, window, context = torch.randn(2, 9 * hop), torch.hann_window(n_fft), n_fft - hop
    padded = torch.nn.functional.pad(wave, (context // 2, context - context // 2))
    spectra = torch.stft(padded, n_fft, hop, window=window, center=False, return_complex=True)
    assert spectra.shape[-1] == 9
    back = inverse_stft(spectra.transpose(1, 2), window, hop)
    torch.testing.assert_close(back, wave, rtol=0, atol=1e-4)


def test_frames_are_those_of_our_own_spectrogram() -> None:
    """A tone that begins at a sample begins there again."""
    config = MelConfig()
    wave = torch.zeros(1, 12 * 640)
    wave[:, 3001:] = torch.sin(torch.arange(12 * 640 - 3001) * 0.05)
    context, window = config.n_fft - config.hop_length, torch.hann_window(config.n_fft)
    padded = torch.nn.functional.pad(wave, (context // 2, context - context // 2))
    spectra = torch.stft(padded, 2048, 640, window=window, center=False, return_complex=True)
    back = inverse_stft(spectra.transpose(1, 2), window, 640)
    assert back[:, :3001].abs().max() < 1e-4


@pytest.mark.parametrize("length", [1, 3, 6])
def test_padded_frames_add_neither_samples_nor_window(length: int) -> None:
    spectra, window = _spectra(2048, 6), torch.hann_window(2048)
    alone = inverse_stft(spectra[:, :length], window, 640)
    mask = length_mask(torch.tensor([length, length]), 6)
    together = inverse_stft(spectra, window, 640, mask)
    torch.testing.assert_close(together[:, : length * 640], alone, rtol=0, atol=1e-5)
    assert together.isfinite().all()


@pytest.mark.parametrize("cuts", [[0, 9], [0, 0, 1, 2, 9], [0, 8, 8, 9, 9]])
@pytest.mark.parametrize(("n_fft", "hop"), LENGTHS)
def test_samples_that_come_piece_by_piece_are_those_of_the_whole(n_fft, hop, cuts) -> None:
    spectra, window = _spectra(n_fft, 9), torch.hann_window(n_fft)
    stream = InverseSTFTStream(window, hop)
    pairs = list(pairwise(cuts))
    parts = [
        stream.push(spectra[:, a:b], is_last=number == len(pairs) - 1)
        for number, (a, b) in enumerate(pairs)
    ]
    whole = inverse_stft(spectra, window, hop)
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("size", "hop"), [(6, 2), (7, 3), (4, 4), (2, 5)])
def test_overlapping_frames_are_added(size: int, hop: int) -> None:
    frames = torch.randn(2, 5, size)
    expected = torch.zeros(2, 4 * hop + size)
    for index in range(5):
        expected[:, index * hop : index * hop + size] += frames[:, index]
    added = overlap_add(frames, hop)
    torch.testing.assert_close(added[:, : expected.shape[1]], expected)
    assert (added[:, expected.shape[1] :] == 0).all()


def test_the_gradient_is_that_of_a_linear_map() -> None:
    spectra = torch.randn(1, 3, 9, dtype=torch.complex128, requires_grad=True)
    window = torch.hann_window(16, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: inverse_stft(x, window, 5), (spectra,))
