import pytest
import torch

from gsv2.models.vits2.posterior import PosteriorEncoder, PosteriorInput
from gsv2.nn.masks import length_mask
from gsv2.nn.wavenet import WaveNetConfig

INPUTS: tuple[PosteriorInput, ...] = ("spectrogram", "mel")


def _encoder(reads: PosteriorInput = "spectrogram") -> PosteriorEncoder:
    torch.manual_seed(0)
    return PosteriorEncoder(65, 4, WaveNetConfig(channels=8, num_layers=3), 3, reads)


@pytest.mark.parametrize("reads", INPUTS)
def test_padding_does_not_change_the_posterior(reads: PosteriorInput) -> None:
    encoder, style = _encoder(reads), torch.randn(1, 3)
    spectrum = torch.randn(1, 65, 9)
    alone = encoder(spectrum, torch.ones(1, 9).bool(), style)
    padded = torch.nn.functional.pad(spectrum, (0, 5))
    together = encoder(padded, length_mask(torch.tensor([9]), 14), style)
    for short, long in zip(alone, together, strict=True):
        torch.testing.assert_close(long[..., :9], short)
        assert (long[..., 9:] == 0).all()


@pytest.mark.parametrize("reads", INPUTS)
def test_a_new_posterior_is_narrower_than_its_mean_varies(reads: PosteriorInput) -> None:
    spectrum = torch.randn(1, 65, 200) * 4 - 5.5
    mean, log_std = _encoder(reads)(spectrum, torch.ones(1, 200).bool(), torch.randn(1, 3))
    assert log_std.exp().mean() < mean.std(dim=-1).mean()


def test_the_first_mean_of_mel_bands_is_linear_in_them() -> None:
    encoder, style, mask = _encoder("mel"), torch.randn(1, 3), torch.ones(1, 7).bool()
    one, other = torch.randn(2, 1, 65, 7)
    mean = {name: encoder(x, mask, style)[0] for name, x in (("one", one), ("other", other))}
    between = encoder((one + other) / 2, mask, style)[0]
    torch.testing.assert_close(between, (mean["one"] + mean["other"]) / 2)
