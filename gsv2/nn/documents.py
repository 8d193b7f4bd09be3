"""Documents that stand end to end in one sequence of tokens, and attention to one after another."""

from __future__ import annotations

from itertools import groupby, pairwise
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class Documents(NamedTuple):
    """N documents in T tokens, padding among them."""

    bounds: Tensor
    """[N + 1] int32: first token of each, ascending from 0 to T; documents may be empty, and
    padding belongs to documents of its own."""
    is_valid: Tensor
    """[T] bool: False at padding."""
    longest: int
    """Number of tokens that no document exceeds."""


def attend_in_turn(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    documents: Documents,
    scale: float,
    dropout: float,
) -> Tensor:
    """Attend to one document after the other; see `attend_documents`."""
    groups = query.shape[0] // key.shape[0]
    if groups > 1:
        key, value = (x.repeat_interleave(groups, dim=0) for x in (key, value))
    places = documents.bounds.tolist()
    starts, stops = zip(*((a, b) for a, b in pairwise(places) if b > a), strict=True)
    is_valid = documents.is_valid[torch.tensor(starts, device=query.device)].tolist()
    sizes = (stop - start for start, stop in zip(starts, stops, strict=True))
    alike = [(*kind, len(list(run))) for kind, run in groupby(zip(sizes, is_valid, strict=True))]
    parts = (
        x.split([size * count for size, _, count in alike], dim=1) for x in (query, key, value)
    )
    return torch.cat(
        [
            _attend_alone((q, k, v), count, scale, dropout) if valid else torch.zeros_like(q)
            for q, k, v, (_, valid, count) in zip(*parts, alike, strict=True)
        ],
        dim=1,
    )


def _attend_alone(
    parts: tuple[Tensor, Tensor, Tensor], count: int, scale: float, dropout: float
) -> Tensor:
    """Attend in documents of one size that follow each other, [H, count * size, E] each."""
    q, k, v = (x.unflatten(1, (count, -1)).transpose(0, 1) for x in parts)
    mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=dropout, scale=scale)
    return mixed.transpose(0, 1).flatten(1, 2)
