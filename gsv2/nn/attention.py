"""Bidirectional attention with rotary positions (RoFormer, arXiv 2104.09864).

Scores depend on the distance of two frames only, so that padding on the right changes nothing
and clips may be longer than any seen in training.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

_ROTARY_BASE = 10_000.0


def rotary_table(size: int, head_dim: int, device: torch.device) -> Tensor:
    """Return the rotation of each position.

    Args:
        size: number of positions, T.
        head_dim: dimension of a head, D; even.
        device: device of the table.

    Returns:
        [2, T, D / 2] float32: cosines, then sines.
    """
    return rotary_at(torch.arange(size, device=device), head_dim)


def rotary_at(positions: Tensor, head_dim: int) -> Tensor:
    """Return the rotation of given positions, whole or not.

    Args:
        positions: [..., T].
        head_dim: dimension of a head, D; even.

    Returns:
        [2, ..., T, D / 2] float32: cosines, then sines.
    """
    exponents = torch.arange(0, head_dim, 2, device=positions.device) / head_dim
    angles = positions.unsqueeze(-1) * _ROTARY_BASE**-exponents
    return torch.stack([angles.cos(), angles.sin()])


def rotate(x: Tensor, rotary: Tensor) -> Tensor:
    """Rotate the two halves of each head's vector by its position's angles.

    Args:
        x: [..., T, D].
        rotary: [2, ..., T, D / 2] of `rotary_table` or `rotary_at`.

    Returns:
        [..., T, D] in the dtype of `x`.
    """
    cosine, sine = rotary.to(x.dtype)
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine], dim=-1)


class SelfAttention(nn.Module):
    """Multi-head attention of a sequence to itself."""

    def __init__(self, dim: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        _check_heads(dim, num_heads)
        self.num_heads = num_heads
        self.dropout = dropout
        self.in_proj = nn.Linear(dim, 3 * dim)
        self.out_proj = nn.Linear(dim, dim)

    @property
    def head_dim(self) -> int:
        """Dimension of one head."""
        return self.out_proj.in_features // self.num_heads

    def forward(self, x: Tensor, mask: Tensor, rotary: Tensor) -> Tensor:
        """Mix the valid positions.

        Args:
            x: [B, T, D].
            mask: [B, T].
            rotary: [2, T, head_dim / 2] of `rotary_table`.

        Returns:
            [B, T, D]; at padding, undefined.
        """
        B, T, D = x.shape
        heads = self.in_proj(x).view(B, T, 3, self.num_heads, self.head_dim)
        query, key, value = heads.permute(2, 0, 3, 1, 4)  # each [B, heads, T, head_dim]
        mixed = functional.scaled_dot_product_attention(
            rotate(query, rotary),
            rotate(key, rotary),
            value,
            attn_mask=mask[:, None, None, :],
            dropout_p=self.dropout if self.training else 0.0,
        )
        return self.out_proj(mixed.transpose(1, 2).reshape(B, T, D))


class CrossAttention(nn.Module):
    """Multi-head attention of a sequence to another one."""

    def __init__(self, dim: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        _check_heads(dim, num_heads)
        self.num_heads = num_heads
        self.dropout = dropout
        self.query = nn.Linear(dim, dim)
        self.key_value = nn.Linear(dim, 2 * dim)
        self.out_proj = nn.Linear(dim, dim)

    def forward(
        self, x: Tensor, memory: Tensor, memory_mask: Tensor, places: Tensor, memory_places: Tensor
    ) -> Tensor:
        """Look up each position of `x` in `memory`.

        Args:
            x: [B, T, D].
            memory: [B, S, D].
            memory_mask: [B, S]; at least one valid position each.
            places: [B, T] of `x`, on the scale of `memory_places`.
            memory_places: [S].

        Returns:
            [B, T, D].
        """
        B, T, D = x.shape
        head_dim = D // self.num_heads
        query = self.query(x).view(B, T, self.num_heads, head_dim).transpose(1, 2)
        pairs = self.key_value(memory).view(B, memory.shape[1], 2, self.num_heads, head_dim)
        key, value = pairs.permute(2, 0, 3, 1, 4)  # each [B, heads, S, head_dim]
        mixed = functional.scaled_dot_product_attention(
            rotate(query, rotary_at(places, head_dim).unsqueeze(2)),
            rotate(key, rotary_at(memory_places, head_dim)),
            value,
            attn_mask=memory_mask[:, None, None, :],
            dropout_p=self.dropout if self.training else 0.0,
        )
        return self.out_proj(mixed.transpose(1, 2).reshape(B, T, D))


def _check_heads(dim: int, num_heads: int) -> None:
    """Refuse a dimension whose heads cannot be rotated, two channels at a time."""
    if dim % (2 * num_heads):
        raise ValueError(
            f"2 * num_heads ({2 * num_heads}) must divide the attention's dim, but it is {dim}"
        )
