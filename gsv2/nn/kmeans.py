"""k-means (Lloyd 1982) over many vectors, piece by piece: no table of all distances is held."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

Progress = Callable[[int, int], None]
"""Called with (iterations done, iterations at most)."""

_PIECE = 4096
"""Vectors whose distances are held at a time: 16 MB for 1024 entries."""


class Clusters(NamedTuple):
    """What k-means finds."""

    means: Tensor
    """[V, d] means of the clusters."""
    counts: Tensor
    """[V] float32: vectors in each, when the means were computed."""


def kmeans(
    vectors: Tensor,
    num_clusters: int,
    iterations: int,
    *,
    settled_share: float = 0.0,
    progress: Progress | None = None,
) -> Clusters:
    """Cluster vectors, starting from some of them, drawn with torch's default generator.

    A cluster that loses all its vectors keeps its mean.

    Args:
        vectors: [N, d] float32, N >= num_clusters.
        num_clusters: number of clusters, V.
        iterations: most iterations.
        settled_share: share of the vectors; it ends earlier when at most so many changed cluster.
        progress: called after each iteration.
    """
    means = vectors[torch.randperm(len(vectors), device=vectors.device)[:num_clusters]]
    counts = vectors.new_zeros(num_clusters)
    before = vectors.new_full((len(vectors),), -1, dtype=torch.int64)
    for iteration in range(iterations):
        nearest = nearest_entries(vectors, means)
        counts = torch.bincount(nearest, minlength=num_clusters).to(vectors.dtype)
        sums = torch.zeros_like(means).index_add_(0, nearest, vectors)
        means = torch.where(counts[:, None] > 0, sums / counts.clamp(min=1)[:, None], means)
        if progress:
            progress(iteration + 1, iterations)
        if float((nearest != before).float().mean()) <= settled_share:
            break
        before = nearest
    return Clusters(means, counts)


def nearest_entries(vectors: Tensor, entries: Tensor) -> Tensor:
    """Return [N] int64: the entry [V, d] that is nearest to each of the vectors [N, d]."""
    half_norms = 0.5 * entries.square().sum(dim=1)  # |x - e|^2 = |x|^2 - 2 (x e - |e|^2 / 2)
    transposed = entries.T.contiguous()
    pieces = [torch.addmm(-half_norms, p, transposed).argmax(dim=1) for p in vectors.split(_PIECE)]
    return torch.cat(pieces)
