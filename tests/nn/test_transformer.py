import pytest
import torch

from gsv2.nn.masks import length_mask
from gsv2.nn.transformer import BlockConfig, Transformer, TransformerConfig

CONFIG = TransformerConfig(
    num_layers=3, style_layer=2, block=BlockConfig(num_heads=2, ffn_dim=24, dropout=0.1)
)


def _transformer() -> Transformer:
    torch.manual_seed(0)
    return Transformer(16, CONFIG, style_dim=4).eval()


def test_padding_does_not_change_valid_frames_and_comes_out_as_zero() -> None:
    transformer, style = _transformer(), torch.randn(1, 4)
    x = torch.randn(1, 6, 16)
    alone = transformer(x, torch.ones(1, 6).bool(), style)
    padded = torch.cat([x, torch.randn(1, 3, 16)], dim=1)
    together = transformer(padded, length_mask(torch.tensor([6]), 9), style)
    torch.testing.assert_close(together[:, :6], alone)
    assert (together[:, 6:] == 0).all()


def test_the_style_enters_at_its_layer_and_not_before() -> None:
    transformer = _transformer()
    x, mask, style = torch.randn(1, 6, 16), torch.ones(1, 6).bool(), torch.randn(2, 1, 4)
    seen: list[torch.Tensor] = []
    for block in transformer.blocks:
        block.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    transformer(x, mask, style[0])
    transformer(x, mask, style[1])
    same = [torch.equal(first, second) for first, second in zip(seen[:3], seen[3:], strict=True)]
    assert same == [True, True, False]


def test_every_frame_sees_every_other() -> None:
    transformer, style = _transformer(), torch.randn(1, 4)
    x = torch.randn(1, 12, 16, requires_grad=True)
    transformer(x, torch.ones(1, 12).bool(), style)[0, 0].square().sum().backward()
    assert x.grad is not None
    assert (x.grad[0].abs().sum(dim=-1) > 0).all()


def test_impossible_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"style_layer must be in 0\.\.3, but is 4"):
        TransformerConfig(num_layers=4, style_layer=4)
    with pytest.raises(ValueError, match="kernel_size must be odd, but is 4"):
        BlockConfig(kernel_size=4)
