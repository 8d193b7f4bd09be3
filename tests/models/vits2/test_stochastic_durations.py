"""The bound of the stochastic predictor's likelihood; the rest: test_durations.py."""

from __future__ import annotations

import torch

from gsv2.models.vits2.durations import DurationConfig, Tokens
from gsv2.models.vits2.stochastic_durations import StochasticDurations


def test_the_loss_bounds_the_nats_of_a_known_distribution() -> None:
    """Durations of 3 or 5 at random cost log 2 nats; the bound comes near and never below."""
    torch.manual_seed(0)
    config = DurationConfig(channels=8, num_blocks=1, kernel_size=3, num_couplings=3)
    predictor = StochasticDurations(4, 2, config)
    tokens = Tokens(torch.zeros(4, 32, 4), torch.ones(4, 32, dtype=torch.bool), torch.zeros(4, 2))
    optimizer = torch.optim.Adam(predictor.parameters(), lr=2e-2)
    nats = []
    for _ in range(60):
        durations = 3 + 2 * torch.randint(2, (4, 32))
        loss = predictor(tokens, durations, tokens.mask).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        nats.append(loss.item())
    reached = sum(nats[-20:]) / 20
    assert 0.65 < reached < 1.6
    drawn = predictor.sample(tokens, 1.0)
    share = ((drawn == 3) | (drawn == 5)).float().mean()
    assert share > 0.6
