import pytest
import torch

from gsv2.audio.mel import MelConfig
from gsv2.audio.multi_resolution import ResolutionsConfig
from gsv2.models.vits2.discriminators import DiscriminatorConfig, MultiDiscriminator
from gsv2.models.vits2.resolution_discriminator import ResolutionDiscriminator

TINY = MelConfig(n_fft=256, hop_length=64, win_length=256)
SET = DiscriminatorConfig(
    periods=(2,),
    period_channels=(4, 8),
    scale_channels=(4, 8, 8),
    scale_kernel=11,
    resolutions=ResolutionsConfig(n_fft=(256, 512), hop_length=(50, 120), win_length=(240, 512)),
    resolution_channels=4,
)


def _discriminator() -> ResolutionDiscriminator:
    torch.manual_seed(0)
    return ResolutionDiscriminator(TINY, 4)


def test_it_judges_frames_and_bins_with_features_of_every_layer() -> None:
    logits, features = _discriminator()(torch.randn(2, 1, 640))
    assert logits.shape == (2, 1, 10, 17)  # 129 bins, halved three times
    assert [f.shape[1] for f in features] == [4, 4, 4, 4, 4, 1]
    assert torch.equal(features[-1], logits)


def test_waves_judged_together_are_judged_as_alone() -> None:
    discriminator = _discriminator()
    waves = torch.randn(3, 1, 640)
    apart = torch.cat([discriminator(wave.unsqueeze(0)).logits for wave in waves])
    torch.testing.assert_close(discriminator(waves).logits, apart)


def test_it_does_not_hear_the_sign_of_a_wave() -> None:
    """Magnitudes only: phases are what periods and scales judge."""
    discriminator, wave = _discriminator(), torch.randn(1, 1, 640)
    torch.testing.assert_close(discriminator(-wave).logits, discriminator(wave).logits)


def test_every_parameter_gets_a_gradient_and_so_does_silence() -> None:
    discriminator, wave = _discriminator(), torch.zeros(1, 1, 640, requires_grad=True)
    discriminator(wave).logits.square().mean().backward()
    assert [name for name, p in discriminator.named_parameters() if p.grad is None] == []
    assert wave.grad is not None
    assert wave.grad.isfinite().all()


def test_resolutions_join_scale_and_periods_by_config() -> None:
    torch.manual_seed(0)
    logits, features = MultiDiscriminator(SET)(torch.randn(2, 1, 1280))
    assert [len(x) for x in logits] == [2, 4, 2, 2]
    assert [len(x) for x in features] == [4, 3, 6, 6]
    assert len(MultiDiscriminator(DiscriminatorConfig()).discriminators) == 6


def test_a_width_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="resolution_channels must be at least 1, but is 0"):
        DiscriminatorConfig(resolution_channels=0)
