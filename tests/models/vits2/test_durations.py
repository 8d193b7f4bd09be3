"""Duration predictors: what they learn, what they draw, and what padding changes."""

from __future__ import annotations

import pytest
import torch

from gsv2.models.vits2.durations import DeterministicDurations, DurationConfig, Tokens, clip_mean
from gsv2.models.vits2.stochastic_durations import SplineFlow, StochasticDurations

DIM, STYLE = 8, 4
SIZES = {"channels": 8, "num_blocks": 1, "kernel_size": 3, "num_couplings": 2}


def make_tokens(lengths: tuple[int, ...], size: int, seed: int = 0) -> Tokens:
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(len(lengths), size, DIM, generator=generator)
    mask = torch.arange(size) < torch.tensor(lengths)[:, None]
    return Tokens(hidden * mask[..., None], mask, torch.randn(len(lengths), STYLE))


def shake(module: torch.nn.Module) -> None:
    """Move every parameter, since new couplings are the identity."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.3 * torch.randn_like(parameter)


def test_the_flow_is_invertible_and_its_log_determinant_is_that_of_autograd() -> None:
    torch.manual_seed(0)
    flow = SplineFlow(DurationConfig(**SIZES)).double()
    shake(flow)
    context, mask = torch.randn(1, 3, 8).double(), torch.ones(1, 3, dtype=torch.bool)
    x = torch.randn(1, 3, 2).double()
    y, log_det = flow(x, context, mask)
    torch.testing.assert_close(flow.inverse(y, context, mask), x, rtol=0, atol=1e-7)

    def flat(values: torch.Tensor) -> torch.Tensor:
        return flow(values.view(1, 3, 2), context, mask)[0].flatten()

    jacobian = torch.autograd.functional.jacobian(flat, x.flatten())
    _, whole = torch.linalg.slogdet(jacobian)
    torch.testing.assert_close(log_det.sum(), whole)


@pytest.mark.parametrize("kind", ["stochastic", "deterministic"])
def test_durations_of_a_constant_text_are_learnt(kind: str) -> None:
    """Tokens last 2 or 9 frames by what they are; both predictors learn which."""
    torch.manual_seed(0)
    config = DurationConfig(kind=kind, **SIZES)
    made = {"stochastic": StochasticDurations, "deterministic": DeterministicDurations}
    predictor = made[kind](DIM, STYLE, config)
    tokens = make_tokens((6, 4), 6)
    durations = torch.where(tokens.hidden[..., 0] > 0, 9, 2) * tokens.mask
    optimizer = torch.optim.Adam(predictor.parameters(), lr=1e-2)
    losses = []
    for _ in range(100):
        loss = predictor(tokens, durations, tokens.mask).loss
        optimizer.zero_grad()
        loss.backward()
        assert all(p.grad is not None for p in predictor.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.2
    drawn = predictor.sample(tokens, 0.3)
    assert (drawn[~tokens.mask] == 0).all()
    long, short = (drawn[tokens.mask & (durations == frames)] for frames in (9, 2))
    assert long.median() > 6 > 4 > short.median()


@pytest.mark.parametrize("kind", ["stochastic", "deterministic"])
def test_gradients_end_at_the_text_and_padding_changes_nothing(kind: str) -> None:
    torch.manual_seed(0)
    made = {"stochastic": StochasticDurations, "deterministic": DeterministicDurations}
    predictor = made[kind](DIM, STYLE, DurationConfig(kind=kind, **SIZES))
    tokens = make_tokens((4,), 4)
    longer = Tokens(
        torch.cat([tokens.hidden, torch.randn(1, 3, DIM)], dim=1).requires_grad_(),
        torch.nn.functional.pad(tokens.mask, (0, 3)),
        tokens.style,
    )
    torch.testing.assert_close(predictor.sample(longer, 0.0)[:, :4], predictor.sample(tokens, 0.0))
    durations = torch.nn.functional.pad(torch.full((1, 4), 3), (0, 3))
    predictor(longer, durations, longer.mask).loss.backward()
    assert longer.hidden.grad is None


def test_noise_makes_a_deterministic_predictor_draw() -> None:
    torch.manual_seed(0)
    config = DurationConfig(kind="deterministic", noise_channels=4, **SIZES)
    predictor = DeterministicDurations(DIM, STYLE, config)
    tokens = make_tokens((5,), 5)
    assert not predictor.sample(tokens, 1.0).equal(predictor.sample(tokens, 1.0))
    assert predictor.sample(tokens, 0.0).equal(predictor.sample(tokens, 0.0))


def test_a_clip_without_a_token_counts_as_0() -> None:
    values = torch.tensor([[1.0, 3.0], [torch.nan, torch.nan]])
    assert clip_mean(values, torch.tensor([[True, True], [False, False]])).item() == 1.0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kernel_size": 4}, "kernel_size must be odd"),
        ({"channels": 0}, "channels must be at least 1"),
        ({"num_bins": 1}, "num_bins must be at least 2"),
        ({"bound": 0.0}, "bound must be above 0"),
        ({"noise_channels": 2}, "noise_channels must be 0 for kind=stochastic"),
    ],
)
def test_wrong_sizes_are_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DurationConfig(**values)
