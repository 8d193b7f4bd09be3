"""Duration discriminator: it learns which durations fit a text; padding changes nothing."""

from __future__ import annotations

import pytest
import torch

from gsv2.losses.durations import duration_discriminator_loss
from gsv2.models.vits2.duration_discriminator import (
    DurationDiscriminator,
    DurationDiscriminatorConfig,
)

CONFIG = DurationDiscriminatorConfig(channels=8, num_blocks=1, kernel_size=3)


def test_it_learns_which_durations_fit_the_text() -> None:
    torch.manual_seed(0)
    judge = DurationDiscriminator(CONFIG, 4)
    optimizer = torch.optim.Adam(judge.parameters(), lr=1e-2)
    mask = torch.ones(16, 6, dtype=torch.bool)
    for _ in range(120):
        hidden = torch.randn(16, 6, 4)
        real, fake = judge(hidden, hidden[..., 0], mask), judge(hidden, torch.randn(16, 6), mask)
        loss = duration_discriminator_loss(real, fake, mask)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert real.mean() > fake.mean() + 0.2


def test_padding_changes_no_valid_logit() -> None:
    torch.manual_seed(0)
    judge = DurationDiscriminator(CONFIG, 4)
    hidden, durations = torch.randn(1, 5, 4), torch.randn(1, 5)
    alone = judge(hidden, durations, torch.ones(1, 5, dtype=torch.bool))
    padded = judge(
        torch.cat([hidden, torch.randn(1, 2, 4)], dim=1),
        torch.cat([durations, torch.full((1, 2), torch.inf)], dim=1),
        torch.arange(7)[None] < 5,
    )
    torch.testing.assert_close(padded[:, :5], alone)


def test_an_even_kernel_is_refused() -> None:
    with pytest.raises(ValueError, match="kernel_size must be odd, but is 4"):
        DurationDiscriminatorConfig(kernel_size=4)
