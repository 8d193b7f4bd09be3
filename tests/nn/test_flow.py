import pytest
import torch

from gsv2.nn.flow import Flow, FlowConfig
from gsv2.nn.masks import length_mask
from gsv2.nn.transformer import BlockConfig
from gsv2.nn.wavenet import WaveNetConfig

CONFIG = FlowConfig(
    num_couplings=4,
    wavenet=WaveNetConfig(channels=8, num_layers=2),
    block=BlockConfig(num_heads=1, ffn_dim=8, dropout=0.0),
)


def _trained_flow(latent_channels: int = 4) -> Flow:
    """A flow whose couplings are not the identity any more."""
    torch.manual_seed(0)
    flow = Flow(latent_channels, CONFIG, style_dim=3)
    for parameter in flow.parameters():
        parameter.data.add_(torch.randn_like(parameter) * 0.3)
    return flow


def test_inverse_undoes_forward_with_padding() -> None:
    flow, style = _trained_flow(), torch.randn(2, 3)
    mask = length_mask(torch.tensor([30, 17]), 30)
    z = torch.randn(2, 4, 30) * mask.unsqueeze(1)
    z_p = flow(z, mask, style)
    assert (z_p - z).abs().max() > 0.5
    torch.testing.assert_close(flow.inverse(z_p, mask, style), z, rtol=0, atol=1e-5)
    torch.testing.assert_close(
        flow(flow.inverse(z, mask, style), mask, style), z, rtol=0, atol=1e-5
    )


def test_a_new_flow_only_reorders_channels() -> None:
    flow, mask = Flow(4, CONFIG, style_dim=3), torch.ones(1, 5).bool()
    z = torch.randn(1, 4, 5)
    assert torch.equal(flow(z, mask, torch.randn(1, 3)), z)


def test_volume_is_preserved() -> None:
    flow, style, mask = _trained_flow(), torch.randn(1, 3), torch.ones(1, 3).bool()
    z = torch.randn(1, 4, 3)
    jacobian = torch.autograd.functional.jacobian(lambda x: flow(x, mask, style), z)
    _, log_det = torch.linalg.slogdet(jacobian.reshape(12, 12).double())
    assert abs(log_det.item()) < 1e-4


def test_padding_does_not_change_valid_frames() -> None:
    flow, style = _trained_flow(), torch.randn(1, 3)
    z = torch.randn(1, 4, 10)
    alone = flow(z, torch.ones(1, 10).bool(), style)
    padded = torch.nn.functional.pad(z, (0, 6))
    together = flow(padded, length_mask(torch.tensor([10]), 16), style)
    torch.testing.assert_close(together[..., :10], alone)
    assert (together[..., 10:] == 0).all()


def test_odd_latents_are_refused() -> None:
    with pytest.raises(ValueError, match="latent_channels must be even, but is 5"):
        Flow(5, CONFIG, style_dim=3)


def test_the_inverse_is_exact_at_the_widest_latent() -> None:
    torch.manual_seed(0)
    flow = Flow(512, FlowConfig(), style_dim=16)
    for coupling in flow.couplings:
        torch.nn.init.normal_(coupling.post.weight, std=0.1)
    z, mask, style = torch.randn(1, 512, 40), torch.ones(1, 40).bool(), torch.randn(1, 16)
    with torch.no_grad():
        z_p = flow(z, mask, style)
        assert (z_p - z).abs().max() > 1
        torch.testing.assert_close(flow.inverse(z_p, mask, style), z, rtol=0, atol=1e-4)
