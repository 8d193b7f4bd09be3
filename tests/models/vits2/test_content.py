import torch

from gsv2.models.vits2.code_features import CodeFeaturesConfig
from gsv2.models.vits2.config import VITS2Config
from gsv2.models.vits2.content import ContentEncoder
from gsv2.models.vits2.style import StyleConfig
from gsv2.nn.codes import CodeConfig
from gsv2.nn.masks import length_mask
from gsv2.nn.transformer import BlockConfig, TransformerConfig


def _encoder(num_features: int = 0) -> ContentEncoder:
    torch.manual_seed(0)
    config = VITS2Config(
        codes=CodeConfig(codebook_size=16, dim=5),
        channels=8,
        latent_channels=4,
        content_input="features" if num_features else "vectors",
        code_features=CodeFeaturesConfig(num_features=num_features or 6),
        content=TransformerConfig(num_layers=3, block=BlockConfig(num_heads=2, ffn_dim=16)),
        style=StyleConfig(dim=3),
    )
    return ContentEncoder(config).eval()


def test_an_odd_number_of_frames_takes_half_of_the_last_code() -> None:
    mean, log_std = _encoder()(torch.randn(2, 4, 5), torch.ones(2, 7).bool(), torch.randn(2, 3))
    assert mean.shape == log_std.shape == (2, 4, 7)


def test_padding_does_not_change_the_prior() -> None:
    encoder, style = _encoder(), torch.randn(1, 3)
    vectors = torch.randn(1, 4, 5)
    alone = encoder(vectors, torch.ones(1, 7).bool(), style)
    padded = torch.nn.functional.pad(vectors, (0, 0, 0, 3))
    together = encoder(padded, length_mask(torch.tensor([7]), 13), style)
    for short, long in zip(alone, together, strict=True):
        torch.testing.assert_close(long[..., :7], short)
        assert (long[..., 7:] == 0).all()


def test_the_log_std_is_bounded() -> None:
    vectors = torch.randn(1, 4, 5)
    encoder = _encoder()
    encoder.output.weight.data.mul_(1e4)
    _, log_std = encoder(vectors, torch.ones(1, 8).bool(), torch.randn(1, 3))
    assert log_std.abs().max() <= 6


def test_the_first_mean_is_linear_in_the_features_of_the_codes() -> None:
    encoder, style, mask = _encoder(num_features=6), torch.randn(1, 3), torch.ones(1, 7).bool()
    vectors, one, other = torch.randn(1, 4, 5), torch.randn(1, 8, 6), torch.randn(1, 8, 6)
    means = [encoder(vectors, mask, style, features)[0] for features in (one, other)]
    between, _ = encoder(vectors, mask, style, (one + other) / 2)
    torch.testing.assert_close(between, (means[0] + means[1]) / 2)


def test_padding_does_not_change_a_prior_of_features() -> None:
    encoder, style = _encoder(num_features=6), torch.randn(1, 3)
    vectors, features = torch.randn(1, 4, 5), torch.randn(1, 8, 6)
    alone = encoder(vectors, torch.ones(1, 7).bool(), style, features)
    padded = torch.nn.functional.pad(vectors, (0, 0, 0, 3))
    more = torch.cat([features, torch.randn(1, 6, 6)], dim=1)  # a decoder's bias is not 0
    together = encoder(padded, length_mask(torch.tensor([7]), 13), style, more)
    for short, long in zip(alone, together, strict=True):
        torch.testing.assert_close(long[..., :7], short)
        assert (long[..., 7:] == 0).all()
