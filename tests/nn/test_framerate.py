import pytest
import torch

from gsv2.nn.framerate import FrameCodecConfig, FrameDecoder, FrameEncoder


def codec(stride: int = 2, num_blocks: int = 2) -> tuple[FrameEncoder, FrameDecoder]:
    torch.manual_seed(0)
    config = FrameCodecConfig(
        input_dim=6, width=16, output_dim=4, stride=stride, num_blocks=num_blocks, kernel_size=3
    )
    return FrameEncoder(config), FrameDecoder(config)


@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("length", [1, 7, 8])
def test_every_started_slow_frame_is_kept(stride: int, length: int) -> None:
    encoder, decoder = codec(stride)
    slow, mask = encoder(torch.randn(2, length, 6), torch.ones(2, length, dtype=torch.bool))
    num_slow = -(-length // stride)
    assert slow.shape == (2, num_slow, 4)
    assert mask.shape == (2, num_slow)
    assert mask.all()
    assert decoder(slow, mask).shape == (2, num_slow * stride, 6)


@pytest.mark.parametrize("num_blocks", [0, 2])
def test_padding_does_not_change_a_clip(num_blocks: int) -> None:
    encoder, decoder = codec(num_blocks=num_blocks)
    x = torch.randn(1, 21, 6)
    mask = torch.arange(21)[None] < 9
    slow, slow_mask = encoder(x, mask)
    alone, alone_mask = encoder(x[:, :9], mask[:, :9])
    assert slow_mask.sum() == alone_mask.sum() == 5
    torch.testing.assert_close(slow[:, :5], alone)
    assert not slow[:, 5:].any()
    slow[:, 5:] = torch.randn(1, 6, 4)
    torch.testing.assert_close(
        decoder(slow, slow_mask)[:, :10], decoder(alone, alone_mask), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize(("field", "value"), [("kernel_size", 4), ("stride", 0)])
def test_sizes_that_cannot_be_are_refused(field: str, value: int) -> None:
    sizes = {"input_dim": 6, "width": 16, "output_dim": 4, "stride": 2, "num_blocks": 1}
    with pytest.raises(ValueError, match=f"{field} must be .*, but is {value}"):
        FrameCodecConfig(**{**sizes, "kernel_size": 3, field: value})
