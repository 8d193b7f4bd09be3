"""Codebook statistics: an exponential moving average of assigned vectors (1711.00937, app. A.1).

Those of a micro-batch are collected first and applied once per optimizer step: the result does
not depend on how the micro-batches of a step are spread over ranks and accumulation, and a
forward pass changes nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class CodebookStatistics(NamedTuple):
    """Frames of one or more micro-batches, summed by the entry of K codebooks that is nearest."""

    counts: Tensor
    """[K, V] float32: number of frames nearest to each entry."""
    sums: Tensor
    """[K, V, d] float32: sum of those frames."""
    candidates: Tensor
    """[P, K, d] float32: random frames, to replace entries that nothing is near to."""
    is_candidate: Tensor
    """[P] bool: False where there were not enough valid frames."""


def collect_statistics(
    vectors: Tensor, codes: Tensor, mask: Tensor, codebook_size: int, num_candidates: int
) -> CodebookStatistics:
    """Collect the statistics of one micro-batch.

    Args:
        vectors: [K, N, d] vectors that were quantized: for a level above the first, residuals.
        codes: [K, N] int64 nearest entries.
        mask: [N] bool, True = valid.
        codebook_size: number of entries, V.
        num_candidates: number of candidates, P; drawn with torch's default generator.
    """
    K, N, d = vectors.shape
    valid = mask.to(vectors.dtype)
    book = torch.arange(K, device=codes.device)[:, None] * codebook_size
    entry = (book + codes.clamp(min=0)).reshape(-1)  # [K * N] into the K * V entries
    counts = vectors.new_zeros(K * codebook_size)
    counts.index_add_(0, entry, valid.repeat(K))
    sums = vectors.new_zeros(K * codebook_size, d)
    sums.index_add_(0, entry, (vectors * valid[:, None]).reshape(K * N, d))
    order = torch.rand(N, device=mask.device).masked_fill(~mask, -1.0)
    drawn, where = order.topk(min(num_candidates, N))
    candidates = vectors.new_zeros(num_candidates, K, d)
    candidates[: len(where)] = vectors[:, where].transpose(0, 1)
    is_candidate = mask.new_zeros(num_candidates)
    is_candidate[: len(where)] = drawn >= 0
    return CodebookStatistics(
        counts.view(K, codebook_size), sums.view(K, codebook_size, d), candidates, is_candidate
    )


def dead_entries(cluster_size: Tensor, dead_share: float) -> Tensor:
    """Return which entries are used less than `dead_share` of the mean.

    Relative to the mean, the threshold scales with the frames of a step by itself.

    Args:
        cluster_size: [..., V] moving average of the counts.
        dead_share: share of the mean; 0 = no entry is ever dead.

    Returns:
        [..., V] bool.
    """
    return cluster_size < dead_share * cluster_size.mean(dim=-1, keepdim=True)


def revive_entries(
    entries: Tensor, cluster_size: Tensor, candidates: Tensor, dead: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Move dead entries of one codebook to candidates, each candidate taken once.

    Args:
        entries: [V, d].
        cluster_size: [V]; a revived entry starts at the mean, so that it has time to be used.
        candidates: [P, d], all valid.
        dead: [V] bool.

    Returns:
        The new entries [V, d], the new cluster sizes [V], and which were revived [V] bool.
    """
    if len(candidates) == 0:
        return entries, cluster_size, torch.zeros_like(dead)
    turn = dead.cumsum(dim=0) - 1  # [V] number of the candidate that a dead entry takes
    revived = dead & (turn < len(candidates))
    chosen = candidates[turn.clamp(0, len(candidates) - 1)]
    entries = torch.where(revived[:, None], chosen, entries)
    return entries, torch.where(revived, cluster_size.mean(), cluster_size), revived
