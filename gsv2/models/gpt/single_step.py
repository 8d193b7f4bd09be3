"""Single step of a decoder: Qwen2's layers over one new position of each row.

transformers' modules spend most of a small model's step outside of tensors. Here are the same
layers as plain functions over the same weights; with one position a row, the query heads that share
a key head are to attention what positions are, and no head is repeated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from transformers import Qwen2Model


class StepCache(Protocol):
    """What a step asks of a cache."""

    def update(self, key: Tensor, value: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        """See `gsv2.nn.key_value_cache.KeyValueCache.update`."""


def can_step(backbone: Qwen2Model) -> bool:
    """Tell whether `step_layers` does what a backbone does.

    Adapters, weights that lie elsewhere, dropout and a mixed precision are its modules' business.
    """
    first = backbone.layers[0].self_attn.q_proj
    is_plain = type(first) is nn.Linear and first.weight.numel() > 0
    device = first.weight.device.type if is_plain else "cpu"
    return is_plain and not backbone.training and not torch.is_autocast_enabled(device)


def rotations(backbone: Qwen2Model, count: int, like: Tensor) -> Tensor:
    """Return the rotary tables [2, count, E] of the first positions: cosines and signed sines.

    Args:
        like: tensor of the device and dtype of the inputs.
    """
    return rotations_at(backbone, torch.arange(count, device=like.device), like)


def rotations_at(backbone: Qwen2Model, positions: Tensor, like: Tensor) -> Tensor:
    """Return the rotary tables [2, L, E] of positions [L], as `rotations`."""
    cosine, sine = backbone.rotary_emb(like, positions[None])
    first, second = sine[0].chunk(2, dim=-1)
    return torch.stack([cosine[0], torch.cat([-first, second], dim=-1)])


def step_layers(
    backbone: Qwen2Model,
    inputs: Tensor,
    rotation: Tensor,
    cache: StepCache,
    mask: Tensor | None = None,
) -> Tensor:
    """Return the backbone's output [B, D] for one more input of each row.

    Args:
        backbone: network of which `can_step` is true.
        inputs: [B, D].
        rotation: [2, E], or [2, B, 1, 1, E] if rows differ, of `rotations`.
        cache: what the rows have seen, which this input joins.
        mask: [B, 1, 1, T'] 0 or -inf for what is seen; None = all.
    """
    cosine, sine = rotation
    B, x = inputs.shape[0], inputs  # `len` would fix the number of rows in an export
    for index, layer in enumerate(backbone.layers):
        attention, mlp = layer.self_attn, layer.mlp
        E, half = attention.head_dim, attention.head_dim // 2
        normed = _norm(layer.input_layernorm, x)
        query = attention.q_proj.forward(normed)
        heads = torch.cat([query, attention.k_proj.forward(normed)], dim=1).view(B, -1, 1, E)
        heads = torch.addcmul(heads * cosine, heads.roll(half, dims=-1), sine)
        num_heads = query.shape[1] // E
        value = attention.v_proj.forward(normed).view(B, -1, 1, E)
        keys, values = cache.update(heads[:, num_heads:], value, index)
        query = heads[:, :num_heads].reshape(B, keys.shape[1], -1, E)
        mixed = F.scaled_dot_product_attention(
            query, keys, values, attn_mask=mask, scale=attention.scaling
        )
        x = x + attention.o_proj.forward(mixed.reshape(B, -1))
        normed = _norm(layer.post_attention_layernorm, x)
        wide = F.silu(mlp.gate_proj.forward(normed)) * mlp.up_proj.forward(normed)
        x = x + mlp.down_proj.forward(wide)
    return _norm(backbone.norm, x)


def _norm(layer: Any, x: Tensor) -> Tensor:
    return F.rms_norm(x, x.shape[-1:], layer.weight, layer.variance_epsilon)
