import pytest
import torch

from gsv2.models.vits2.style import StyleConfig, StyleEncoder, fuse_styles
from gsv2.nn.masks import length_mask


def test_padding_does_not_change_the_style() -> None:
    torch.manual_seed(0)
    encoder = StyleEncoder(10, StyleConfig(dim=6, channels=8)).eval()
    mel = torch.randn(1, 10, 12) - 5
    alone = encoder(mel, torch.ones(1, 12).bool())
    padded = torch.nn.functional.pad(mel, (0, 7), value=-11.5)
    assert alone.shape == (1, 6)
    torch.testing.assert_close(encoder(padded, length_mask(torch.tensor([12]), 19)), alone)


def test_styles_fuse_as_the_weighted_mean() -> None:
    styles = torch.tensor([[1.0, 0.0], [3.0, 4.0]])
    assert fuse_styles(styles).tolist() == [[2.0, 2.0]]
    assert fuse_styles(styles, [3.0, 1.0]).tolist() == [[1.5, 1.0]]
    assert fuse_styles(styles, [0.0, 2.0]).tolist() == [[3.0, 4.0]]


@pytest.mark.parametrize(
    ("weights", "message"),
    [([1.0], "one weight a reference"), ([1.0, -1.0], "non-negative"), ([0.0, 0.0], "positive")],
)
def test_weights_that_make_no_mean_are_refused(weights: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fuse_styles(torch.zeros(2, 3), weights)
