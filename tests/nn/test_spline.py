"""Rational-quadratic splines: inverse, log-determinant, identity."""

from __future__ import annotations

import torch

from gsv2.nn.spline import apply_spline, num_parameters

BOUND = 5.0


def random_spline(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = 4 * torch.randn(200, generator=generator)
    return x, 0.5 * torch.randn(200, num_parameters(10), generator=generator)


def test_the_inverse_undoes_the_map() -> None:
    x, parameters = random_spline()
    y, log_derivative = apply_spline(x, parameters, BOUND)
    back, log_back = apply_spline(y, parameters, BOUND, inverse=True)
    torch.testing.assert_close(back, x, rtol=0, atol=1e-4)
    torch.testing.assert_close(log_back, -log_derivative, rtol=0, atol=2e-3)


def test_the_log_derivative_is_that_of_autograd() -> None:
    x, parameters = random_spline()
    x.requires_grad_()
    y, log_derivative = apply_spline(x, parameters, BOUND)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(log_derivative, gradient.log(), rtol=1e-4, atol=1e-4)


def test_it_rises_and_is_the_identity_beyond_its_bound() -> None:
    _, parameters = random_spline()
    x = torch.linspace(-7, 7, 200)
    y, log_derivative = apply_spline(x, parameters[:1].expand(200, -1), BOUND)
    assert (y.diff() > 0).all()
    beyond = x.abs() >= BOUND
    assert y[beyond].equal(x[beyond])
    assert (log_derivative[beyond] == 0).all()


def test_parameters_of_0_are_the_identity() -> None:
    x, parameters = random_spline()
    y, log_derivative = apply_spline(x, parameters * 0, BOUND)
    torch.testing.assert_close(y, x, rtol=0, atol=1e-5)
    torch.testing.assert_close(log_derivative, torch.zeros(200), rtol=0, atol=1e-5)
