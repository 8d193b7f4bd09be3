"""Codebook measures: error, perplexity and usage.

Perplexity alone says nothing of quality and the error says nothing of use: report both. The
error is a share of the variance, so that it compares across features; perplexity is a share of
the codebook's size.
"""

from __future__ import annotations

import torch
from torch import Tensor


def masked_mse(prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Return the mean squared error over valid frames; 0 where there are none.

    Args:
        prediction: [B, T, D].
        target: [B, T, D].
        mask: [B, T] bool.

    Returns:
        [].
    """
    error = (prediction - target).square().mean(dim=-1) * mask
    return error.sum() / mask.sum().clamp(min=1)


def unexplained_variance(prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Return the squared error as a share of the target's variance; 0 where there is none.

    Args:
        prediction: [B, T, D].
        target: [B, T, D].
        mask: [B, T] bool. The variance is that of the valid frames around their own mean.

    Returns:
        []: 0 = exact, 1 = no better than the mean.
    """
    valid = target[mask]  # [frames, D]
    if len(valid) == 0:
        return target.new_zeros(())
    variance = valid.var(dim=0, unbiased=False).mean()
    return masked_mse(prediction, target, mask) / variance.clamp(min=torch.finfo().tiny)


def perplexity(counts: Tensor) -> Tensor:
    """Return exp(entropy) of the code distribution.

    Args:
        counts: [..., V] how often each code was used, not necessarily whole numbers.

    Returns:
        [...]: 1 where one code (or none) is used, V where all are used alike.
    """
    return entropy_nats(counts).exp()


def entropy_nats(counts: Tensor) -> Tensor:
    """Return the entropy of the code distribution, in nats.

    Args:
        counts: [..., V] uses of each entry.

    Returns:
        [...].
    """
    total = counts.sum(dim=-1, keepdim=True).clamp(min=torch.finfo(counts.dtype).tiny)
    return torch.special.entr(counts / total).sum(dim=-1)


def count_codes(codes: Tensor, codebook_size: int) -> Tensor:
    """Count each code of each codebook.

    Args:
        codes: [B, K, T] int64; negative ids (padding) are not counted.
        codebook_size: number of entries, V.

    Returns:
        [K, V] float64.
    """
    _, K, _ = codes.shape
    counts = torch.zeros(K, codebook_size, dtype=torch.float64, device=codes.device)
    flat = codes.transpose(0, 1).reshape(K, -1)  # [K, B * T]
    valid = (flat >= 0).to(counts.dtype)
    return counts.scatter_add_(1, flat.clamp(min=0), valid)
