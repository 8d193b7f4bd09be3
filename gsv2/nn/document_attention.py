"""Causal attention inside each of many documents that stand end to end, without a dense mask.

A mask of all pairs takes memory by the square of the tokens, and most of its pairs are of different
documents, computed and thrown away. Here each document is attended to alone: by torch's kernel for
documents of different lengths (`torch.nn.attention.varlen`, FlashAttention 2, arXiv 2307.08691) on
a GPU in half precision, one after the other elsewhere.
"""

from __future__ import annotations

from itertools import groupby, pairwise
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

_HALVES = (torch.float16, torch.bfloat16)
_CAUSAL = (-1, 0)
"""Tokens that a token sees after and before itself: all that come before, none after."""


class Documents(NamedTuple):
    """N documents in T tokens, padding among them."""

    bounds: Tensor
    """[N + 1] int32: first token of each, ascending from 0 to T; documents may be empty, and
    padding belongs to documents of its own."""
    is_valid: Tensor
    """[T] bool: False at padding."""
    longest: int
    """Number of tokens that no document exceeds."""


def attend_documents(
    query: Tensor, key: Tensor, value: Tensor, documents: Documents, scale: float, dropout: float
) -> Tensor:
    """Let each token see itself and the earlier ones of its document.

    Args:
        query: [H, T, E].
        key: [H', T, E], H' a divisor of H, each shared by H / H' heads.
        value: [H', T, E].
        documents: where the documents are.
        scale: factor on the products of queries and keys.
        dropout: probability of dropping an attention weight.

    Returns:
        [H, T, E]; at padding, finite.
    """
    if query.is_cuda and query.dtype in _HALVES and not dropout:
        return _attend_at_once(query, key, value, documents, scale)
    attend = attend_in_turn
    if (
        torch.compiler.is_compiling()
    ):  # the compiler is imported by networks that are compiled alone
        from gsv2.nn.uncompiled_attention import attend_uncompiled as attend
    return attend(query, key, value, documents, scale, dropout)


def _attend_at_once(
    query: Tensor, key: Tensor, value: Tensor, documents: Documents, scale: float
) -> Tensor:
    """Attend in one kernel, which needs no length on the host."""
    from torch.nn.attention.varlen import varlen_attn

    q, k, v = (x.transpose(0, 1).contiguous() for x in (query, key, value))  # [T, heads, E]
    bounds, longest = documents.bounds, documents.longest
    is_grouped = key.shape[0] != query.shape[0]
    mixed = varlen_attn(
        q, k, v, bounds, bounds, longest, longest,
        scale=scale, window_size=_CAUSAL, enable_gqa=is_grouped,
    )  # fmt: skip
    assert isinstance(mixed, Tensor), "nothing else was asked for"
    return mixed.transpose(0, 1)


def attend_in_turn(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    documents: Documents,
    scale: float,
    dropout: float,
) -> Tensor:
    """Attend to one document after the other; arguments and result as in `attend_documents`."""
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
