"""Rational-quadratic splines: invertible maps of numbers with log-determinants.

Neural Spline Flows (arXiv 1906.04032, section 3.1): monotonic within `-bound..bound`, the identity
beyond. In fp32 whatever the network computes in.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from gsv2.audio.full_precision import full_precision

_MIN_SHARE = 1e-3
"""Least share of the interval that a bin is wide, and high."""
_MIN_SLOPE = 1e-3
_UNIT_SLOPE = math.log(math.expm1(1.0 - _MIN_SLOPE))
"""What softplus makes a slope of 1 of, together with `_MIN_SLOPE`."""


class _Bins(NamedTuple):
    """Bins of one spline a number: the one that a number lies in, values of shape [...]."""

    x: Tensor
    width: Tensor
    y: Tensor
    height: Tensor
    slope: Tensor
    """Derivative at the left edge."""
    next_slope: Tensor
    """Derivative at the right edge."""


def num_parameters(num_bins: int) -> int:
    """Return how many numbers describe a spline: widths, heights and the slopes between them."""
    return 3 * num_bins - 1


def apply_spline(
    x: Tensor, parameters: Tensor, bound: float, *, inverse: bool = False
) -> tuple[Tensor, Tensor]:
    """Map numbers.

    Args:
        x: [...].
        parameters: [..., 3 * bins - 1], not normalised; all 0 = the identity.
        bound: end of the interval.
        inverse: undo the map.

    Returns:
        The results [...] and the logarithms [...] of the derivatives there, at least float32.
    """
    with full_precision(x.device):
        dtype = torch.promote_types(x.dtype, torch.float32)
        x, parameters = x.to(dtype), parameters.to(dtype)
        inside = x.clamp(-bound, bound)
        bins = _find_bins(inside, parameters, bound, inverse)
        share = _undo(inside, bins) if inverse else (inside - bins.x) / bins.width
        mapped, log_derivative = _evaluate(share, bins)
        if inverse:
            mapped, log_derivative = share * bins.width + bins.x, -log_derivative
        is_inside = x.abs() < bound
        zero = torch.zeros_like(log_derivative)
        return torch.where(is_inside, mapped, x), torch.where(is_inside, log_derivative, zero)


def _find_bins(x: Tensor, parameters: Tensor, bound: float, inverse: bool) -> _Bins:
    """Return the bin that each number lies in."""
    num_bins = (parameters.shape[-1] + 1) // 3
    widths, heights, slopes = parameters.split([num_bins, num_bins, num_bins - 1], dim=-1)
    x_edges, y_edges = _edges(widths, bound), _edges(heights, bound)
    inner = _MIN_SLOPE + functional.softplus(slopes + _UNIT_SLOPE)
    slopes = functional.pad(inner, (1, 1), value=1.0)  # [..., bins + 1]: 1 where the identity is
    edges = (y_edges if inverse else x_edges)[..., 1:-1]
    index = (x.unsqueeze(-1) >= edges).sum(dim=-1, keepdim=True)  # [..., 1]

    def at(values: Tensor, shift: int = 0) -> Tensor:
        return values.gather(-1, index + shift).squeeze(-1)

    x_left, y_left = at(x_edges), at(y_edges)
    width, height = at(x_edges, 1) - x_left, at(y_edges, 1) - y_left
    return _Bins(x_left, width, y_left, height, at(slopes), at(slopes, 1))


def _edges(logits: Tensor, bound: float) -> Tensor:
    """Return the edges [..., bins + 1] of bins, from `-bound` to `bound`."""
    num_bins = logits.shape[-1]
    shares = _MIN_SHARE + (1 - _MIN_SHARE * num_bins) * logits.softmax(dim=-1)
    inner = (2 * shares.cumsum(dim=-1)[..., :-1] - 1) * bound
    left = functional.pad(inner, (1, 0), value=-bound)
    return functional.pad(left, (0, 1), value=bound)


def _evaluate(share: Tensor, bins: _Bins) -> tuple[Tensor, Tensor]:
    """Return the results and the logarithms of the derivatives (equations 4 and 5).

    Args:
        share: [...] place within the bin, 0..1.
        bins: its bin.
    """
    mean = bins.height / bins.width
    rest = share * (1 - share)
    below = mean + (bins.slope + bins.next_slope - 2 * mean) * rest
    above = mean * share.square() + bins.slope * rest
    derivative = (
        bins.next_slope * share.square() + 2 * mean * rest + bins.slope * (1 - share).square()
    )
    log_derivative = 2 * mean.log() + derivative.log() - 2 * below.log()
    return bins.y + bins.height * above / below, log_derivative


def _undo(y: Tensor, bins: _Bins) -> Tensor:
    """Return the place within the bin that a result comes from (equations 6 to 8)."""
    mean, risen = bins.height / bins.width, y - bins.y
    bend = bins.slope + bins.next_slope - 2 * mean
    a = bins.height * (mean - bins.slope) + risen * bend
    b = bins.height * bins.slope - risen * bend
    c = -mean * risen
    root = (b.square() - 4 * a * c).clamp(min=0).sqrt()
    return 2 * c / (-b - root)
