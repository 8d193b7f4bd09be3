import pytest
import torch

from gsv2.models.vits2.discriminators import (
    DiscriminatorConfig,
    MultiDiscriminator,
    PeriodDiscriminator,
)

TINY = DiscriminatorConfig(
    periods=(2, 3, 5), period_channels=(4, 8, 8), scale_channels=(4, 8, 8), scale_kernel=11
)


def _discriminator() -> MultiDiscriminator:
    torch.manual_seed(0)
    return MultiDiscriminator(TINY)


def test_one_scale_and_every_period_judge_with_features_of_every_layer() -> None:
    logits, features = _discriminator()(torch.randn(2, 1, 1000))
    assert [len(x) for x in logits] == [2, 4, 6, 10]
    assert [len(x) for x in features] == [4, 4, 4, 4]
    assert all(torch.equal(f[-1], x) for f, x in zip(features, logits, strict=True))


def test_waves_judged_together_are_judged_as_alone() -> None:
    discriminator = _discriminator()
    real, fake = torch.randn(2, 2, 1, 1001)
    together, _ = discriminator(torch.cat([real, fake]))
    apart = zip(discriminator(real)[0], discriminator(fake)[0], strict=True)
    for both, (first, second) in zip(together, apart, strict=True):
        torch.testing.assert_close(both, torch.cat([first, second]))


def test_a_period_discriminator_is_hifi_gans_two_dimensional_one() -> None:
    torch.manual_seed(0)
    discriminator = PeriodDiscriminator(3, TINY)
    wave = torch.randn(2, 1, 300)
    x = wave.view(2, 1, 100, 3)
    for layer in discriminator.stack.layers:
        assert isinstance(layer, torch.nn.Conv1d)
        x = torch.nn.functional.conv2d(
            x, layer.weight.unsqueeze(-1), layer.bias, (layer.stride[0], 1), (layer.padding[0], 0)
        )
        x = torch.nn.functional.leaky_relu(x, 0.1)
    output = discriminator.stack.output
    expected = torch.nn.functional.conv2d(
        x, output.weight.unsqueeze(-1), output.bias, 1, (1, 0)
    )  # [2, 1, T, 3]
    logits = discriminator(wave).logits.view(2, 3, -1)
    torch.testing.assert_close(logits, expected[:, 0].transpose(1, 2))


def test_every_parameter_gets_a_gradient() -> None:
    discriminator = _discriminator()
    logits, _ = discriminator(torch.randn(2, 1, 1000))
    torch.stack([x.square().mean() for x in logits]).sum().backward()
    assert [name for name, p in discriminator.named_parameters() if p.grad is None] == []


def test_groups_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="scale_group_width must divide scale_channels"):
        DiscriminatorConfig(scale_channels=(6, 8, 8))
