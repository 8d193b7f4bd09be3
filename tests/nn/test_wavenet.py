import pytest
import torch

from gsv2.nn.masks import length_mask
from gsv2.nn.wavenet import WaveNet, WaveNetConfig


def _wavenet(num_layers: int = 3) -> WaveNet:
    torch.manual_seed(0)
    config = WaveNetConfig(channels=8, num_layers=num_layers, kernel_size=5, dilation_rate=2)
    return WaveNet(config, style_dim=4)


def test_padding_does_not_change_valid_frames_and_comes_out_as_zero() -> None:
    wavenet, style = _wavenet(), torch.randn(1, 4)
    x = torch.randn(1, 8, 20)
    alone = wavenet(x, torch.ones(1, 20).bool(), style)
    padded = torch.nn.functional.pad(x, (0, 9))
    together = wavenet(padded, length_mask(torch.tensor([20]), 29), style)
    torch.testing.assert_close(together[..., :20], alone)
    assert (together[..., 20:] == 0).all()


def test_the_receptive_field_grows_with_the_dilations() -> None:
    x = torch.randn(1, 8, 61, requires_grad=True)
    _wavenet()(x, torch.ones(1, 61).bool(), torch.randn(1, 4))[0, :, 30].sum().backward()
    assert x.grad is not None
    reached = (x.grad[0].abs().sum(dim=0) > 0).nonzero().flatten()
    assert (reached.min().item(), reached.max().item()) == (30 - 14, 30 + 14)  # 2 * (1 + 2 + 4)


@pytest.mark.parametrize("num_layers", [1, 3])
def test_every_parameter_and_the_style_get_a_gradient(num_layers: int) -> None:
    wavenet, style = _wavenet(num_layers), torch.randn(2, 4, requires_grad=True)
    wavenet(torch.randn(2, 8, 9), torch.ones(2, 9).bool(), style).square().sum().backward()
    assert style.grad is not None
    assert [name for name, p in wavenet.named_parameters() if p.grad is None] == []


def test_even_kernels_are_refused() -> None:
    with pytest.raises(ValueError, match="kernel_size must be odd, but is 4"):
        WaveNetConfig(kernel_size=4)
