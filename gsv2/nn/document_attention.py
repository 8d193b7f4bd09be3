"""Causal attention inside each of many documents that stand end to end, without a dense mask.

A mask of all pairs takes memory by the square of the tokens, and most of its pairs are of different
documents, computed and thrown away. Here each document is attended to alone: by torch's kernel for
documents of different lengths (`torch.nn.attention.varlen`, FlashAttention 2, arXiv 2307.08691) on
a GPU in half precision, one after the other elsewhere.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gsv2.nn.documents import Documents, attend_in_turn

_HALVES = (torch.float16, torch.bfloat16)
_CAUSAL = (-1, 0)
"""Tokens that a token sees after and before itself: all that come before, none after."""


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
    if torch.compiler.is_compiling():  # others do without the import of the compiler
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
