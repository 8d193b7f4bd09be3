import numpy as np
import pytest
import torch

from gsv2.losses.codebook import (
    count_codes,
    entropy_nats,
    masked_mse,
    perplexity,
    unexplained_variance,
)


def test_perplexity_and_entropy_equal_numpy() -> None:
    counts = np.random.default_rng(0).integers(1, 50, size=(3, 16)).astype(float)
    shares = counts / counts.sum(axis=1, keepdims=True)
    entropy = -(shares * np.log(shares)).sum(axis=1)
    np.testing.assert_allclose(entropy_nats(torch.tensor(counts)), entropy)
    np.testing.assert_allclose(perplexity(torch.tensor(counts)), np.exp(entropy))


@pytest.mark.parametrize(
    ("counts", "expected"),
    [([5.0, 5.0, 5.0, 5.0], 4.0), ([9.0, 0.0, 0.0, 0.0], 1.0), ([0.0, 0.0, 0.0, 0.0], 1.0)],
)
def test_perplexity_lies_between_one_code_and_all(counts: list[float], expected: float) -> None:
    assert perplexity(torch.tensor(counts)).item() == pytest.approx(expected)


def test_counts_equal_bincount_without_padding() -> None:
    codes = torch.randint(-1, 6, (4, 3, 25))
    counts = count_codes(codes, 6)
    for k in range(3):
        flat = codes[:, k].flatten()
        assert torch.equal(counts[k].long(), torch.bincount(flat[flat >= 0], minlength=6))


def test_errors_equal_numpy_over_valid_frames() -> None:
    generator = torch.Generator().manual_seed(0)
    target = torch.randn(3, 20, 5, generator=generator) * 2 + 1
    prediction = target + 0.5 * torch.randn(3, 20, 5, generator=generator)
    mask = torch.rand(3, 20, generator=generator) < 0.6
    prediction[~mask] = 1e6
    t, p = target[mask].numpy(), prediction[mask].numpy()
    mse = ((p - t) ** 2).mean()
    assert masked_mse(prediction, target, mask).item() == pytest.approx(mse, rel=1e-5)
    error = unexplained_variance(prediction, target, mask).item()
    assert error == pytest.approx(mse / t.var(axis=0).mean(), rel=1e-5)


def test_the_mean_explains_nothing() -> None:
    target, mask = torch.randn(2, 30, 4), torch.ones(2, 30, dtype=torch.bool)
    mean = target.mean(dim=(0, 1)).expand_as(target)
    assert unexplained_variance(mean, target, mask).item() == pytest.approx(1.0, rel=1e-5)


def test_without_valid_frames_errors_are_zero_and_differentiable() -> None:
    prediction = torch.randn(1, 3, 4, requires_grad=True)
    target, mask = torch.randn(1, 3, 4), torch.zeros(1, 3, dtype=torch.bool)
    masked_mse(prediction, target, mask).backward()
    assert prediction.grad is not None
    assert not prediction.grad.any()
    assert unexplained_variance(prediction.detach(), target, mask).item() == 0.0
