import torch

from gsv2.losses.adversarial import (
    discriminator_loss,
    feature_matching_loss,
    generator_loss,
    gradient_penalty,
)


def test_least_squares_values_known_by_hand() -> None:
    real = [torch.tensor([[1.0, 0.5]]), torch.tensor([[2.0]])]
    fake = [torch.tensor([[0.0, 1.0]]), torch.tensor([[-1.0]])]
    of_real, of_fake = (0 + 0.25) / 2 + 1, (0 + 1) / 2 + 1
    assert discriminator_loss(real, fake).item() == of_real + of_fake
    assert generator_loss(fake).item() == (1 + 0) / 2 + 4


def test_a_perfect_judge_has_no_loss_and_a_perfect_fake_neither() -> None:
    ones, zeros = [torch.ones(2, 3)], [torch.zeros(2, 3)]
    assert discriminator_loss(ones, zeros).item() == 0
    assert generator_loss(ones).item() == 0


def test_feature_matching_sums_the_mean_distances_of_layers() -> None:
    real = [[torch.zeros(1, 4), torch.ones(2)], [torch.zeros(3)]]
    fake = [[torch.full((1, 4), 0.5), torch.ones(2)], [torch.full((3,), -2.0)]]
    assert feature_matching_loss(real, fake).item() == 2.5


def test_feature_matching_trains_the_fake_side_only() -> None:
    real, fake = (torch.randn(2, 3, requires_grad=True) for _ in range(2))
    feature_matching_loss([[real]], [[fake]]).backward()
    assert real.grad is None
    assert fake.grad is not None


def test_losses_are_fp32_for_half_precision_logits() -> None:
    half = [torch.ones(2, 3, dtype=torch.bfloat16)]
    losses = [discriminator_loss(half, half), generator_loss(half)]
    losses.append(feature_matching_loss([half], [half]))
    assert {loss.dtype for loss in losses} == {torch.float32}


def test_hinge_values_known_by_hand() -> None:
    real, fake = [torch.tensor([2.0, 0.5])], [torch.tensor([-3.0, 0.5])]
    assert discriminator_loss(real, fake, "hinge").item() == (0 + 0.5) / 2 + (0 + 1.5) / 2
    assert generator_loss(fake, "hinge").item() == 1.25


def test_r1_is_the_squared_slope_of_the_sum_of_mean_scores() -> None:
    """Two linear judges: the slope is the sum of their weights, one over its two logits."""
    generator = torch.Generator().manual_seed(0)
    wave = torch.randn(3, 1, 8, generator=generator, requires_grad=True)
    one, two, other = torch.randn(3, 8, generator=generator)
    folded = torch.stack([(wave * one).sum(-1), (wave * two).sum(-1)], dim=1).flatten(0, 1)
    penalty = gradient_penalty([folded, (wave * other).sum(-1)], wave)
    expected = ((one + two) / 2 + other).square().sum()
    torch.testing.assert_close(penalty, expected)


def test_r1_can_be_differentiated_again() -> None:
    weight = torch.tensor(3.0, requires_grad=True)
    wave = torch.ones(2, 1, 1, requires_grad=True)
    gradient_penalty([weight * wave], wave).backward()
    assert weight.grad is not None
    assert weight.grad.item() == 2 * 3.0
