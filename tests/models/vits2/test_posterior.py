import torch

from gsv2.models.vits2.posterior import PosteriorEncoder
from gsv2.nn.masks import length_mask
from gsv2.nn.wavenet import WaveNetConfig


def _encoder() -> PosteriorEncoder:
    torch.manual_seed(0)
    return PosteriorEncoder(65, 4, WaveNetConfig(channels=8, num_layers=3), style_dim=3)


def test_padding_does_not_change_the_posterior() -> None:
    encoder, style = _encoder(), torch.randn(1, 3)
    magnitude = torch.rand(1, 65, 9)
    alone = encoder(magnitude, torch.ones(1, 9).bool(), style)
    padded = torch.nn.functional.pad(magnitude, (0, 5))
    together = encoder(padded, length_mask(torch.tensor([9]), 14), style)
    for short, long in zip(alone, together, strict=True):
        torch.testing.assert_close(long[..., :9], short)
        assert (long[..., 9:] == 0).all()


def test_a_new_posterior_is_narrower_than_its_mean_varies() -> None:
    magnitude = torch.exp(torch.randn(1, 65, 200) * 4 - 5.5)
    mean, log_std = _encoder()(magnitude, torch.ones(1, 200).bool(), torch.randn(1, 3))
    assert log_std.exp().mean() < mean.std(dim=-1).mean()
