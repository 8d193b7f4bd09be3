"""Sums and stacks of device tensors over the ranks, for what gradients do not carry."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor


def sum_over_ranks(tensor: Tensor) -> Tensor:
    """Return the sum of every rank's tensor of the same shape. Collective."""
    if not _has_ranks():
        return tensor
    total = tensor.clone()
    dist.all_reduce(total)
    return total


def stack_over_ranks(tensor: Tensor) -> Tensor:
    """Return every rank's tensor of the same shape, [ranks, ...]. Collective."""
    if not _has_ranks():
        return tensor.unsqueeze(0)
    parts = [torch.empty_like(tensor) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, tensor.contiguous())
    return torch.stack(parts)


def _has_ranks() -> bool:
    return dist.is_initialized() and dist.get_world_size() > 1
