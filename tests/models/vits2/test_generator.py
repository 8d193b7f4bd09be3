import pytest
import torch

from gsv2.models.vits2.generator import Generator, GeneratorConfig
from gsv2.nn.masks import length_mask

TINY = GeneratorConfig(channels=16, stage_channels=(8, 8, 8, 4, 4), block_kernels=(3, 7))


def _generator(config: GeneratorConfig = TINY) -> Generator:
    torch.manual_seed(0)
    return Generator(6, config, style_dim=3)


@pytest.mark.parametrize("kernels", [(16, 16, 8, 2, 2), (20, 16, 4, 4, 4)])
def test_t_frames_give_t_times_640_samples(kernels: tuple[int, ...]) -> None:
    config = GeneratorConfig(
        channels=16, stage_channels=(8, 8, 8, 4, 4), block_kernels=(3,), upsample_kernels=kernels
    )
    wave = _generator(config)(torch.randn(2, 6, 5), torch.randn(2, 3))
    assert wave.shape == (2, 1, 5 * 640)
    assert wave.abs().max() <= 1


@torch.no_grad()
def test_padding_does_not_change_the_samples_of_a_clip() -> None:
    generator, style = _generator(), torch.randn(1, 3)
    z = torch.randn(1, 6, 5)
    alone = generator(z, style)
    padded = torch.nn.functional.pad(z, (0, 4))
    together = generator(padded, style, length_mask(torch.tensor([5]), 9))
    torch.testing.assert_close(together[..., : 5 * 640], alone, rtol=0, atol=1e-5)


@torch.no_grad()
def test_a_new_generator_passes_its_latent_on_to_the_wave() -> None:
    style = torch.zeros(1, 3)
    generator = _generator(GeneratorConfig(block_kernels=(3,)))
    z = torch.randn(1, 6, 8)
    waves = [generator(scale * z, style) for scale in (1, 0)]
    difference = (waves[0] - waves[1]).std()
    assert 0.02 < difference < 0.7


def test_stages_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="exceed its rate by an even number"):
        GeneratorConfig(upsample_kernels=(16, 16, 8, 2, 3))
    with pytest.raises(ValueError, match=r"one entry a stage \(5\), but are \[8, 4\]"):
        GeneratorConfig(stage_channels=(8, 4))
