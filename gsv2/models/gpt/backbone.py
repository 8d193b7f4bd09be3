"""Backbone of the GPT, a decoder-only transformer: transformers' Qwen2, fed with vectors.

transformers takes seconds to import, so that it is imported where a GPT is made: other stages, and
commands that make none, start without it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

if TYPE_CHECKING:
    from transformers import Qwen2Model

_UNIT_INIT_STD = 0.64
"""Standard deviation of initial weights, times sqrt(dim): Qwen2's 0.02 at its width of 1024."""


@dataclass(frozen=True, kw_only=True)
class BackboneConfig:
    """Sizes of a causal transformer."""

    dim: int = 1024
    """Width of the vectors, D."""
    num_layers: int = 24
    """Number of layers."""
    num_heads: int = 16
    """Number of query heads of each layer."""
    num_kv_heads: int = 4
    """Heads of keys and values, shared by groups of query heads (arXiv:2305.13245)."""
    ffn_dim: int = 2816
    """Inner width of the gated feed-forward layers."""
    rope_theta: float = 10_000.0
    """Base of the rotary positions (arXiv:2104.09864)."""
    attention_dropout: float = 0.0
    """Probability of dropping an attention weight."""

    def __post_init__(self) -> None:
        """Check that heads divide evenly."""
        if self.dim % (2 * self.num_heads):
            raise ValueError(
                f"num_heads must divide dim ({self.dim}) into even parts, but is {self.num_heads}"
            )
        if self.num_heads % self.num_kv_heads:
            raise ValueError(
                f"num_kv_heads must divide num_heads ({self.num_heads}), but is {self.num_kv_heads}"
            )


def make_backbone(config: BackboneConfig) -> Qwen2Model:
    """Return a Qwen2 without a token embedding: it takes `inputs_embeds` [B, T, dim] only.

    A parameter that never gets a gradient would break DDP.
    """
    from transformers import Qwen2Config, Qwen2Model

    model = Qwen2Model(
        Qwen2Config(
            vocab_size=1,
            hidden_size=config.dim,
            intermediate_size=config.ffn_dim,
            num_hidden_layers=config.num_layers,
            num_attention_heads=config.num_heads,
            num_key_value_heads=config.num_kv_heads,
            rope_parameters={"rope_type": "default", "rope_theta": config.rope_theta},
            attention_dropout=config.attention_dropout,
            initializer_range=_UNIT_INIT_STD * config.dim**-0.5,
            attn_implementation="sdpa",
        )
    )
    model.embed_tokens = None
    return model


def recompute_layers(module: nn.Module) -> None:
    """Let every layer of a module's backbones keep its input only and run again in backward.

    transformers' own switch wants the token embedding that we took away.
    """
    from transformers import Qwen2Model

    for backbone in module.modules():
        if isinstance(backbone, Qwen2Model):
            for layer in backbone.layers:
                layer.gradient_checkpointing = True
                layer._gradient_checkpointing_func = partial(checkpoint, use_reentrant=False)


def make_document_mask(documents: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the attention mask of rows that hold several documents each.

    A token sees itself and the earlier ones of its document. It is dense, one for all layers and
    heads: 128 MiB for 4 rows of 4,096 tokens in bfloat16.

    Args:
        documents: [R, L] int64 document of each token, -1 at padding, which is one more document,
            so that no token is left without any to see (its softmax would be NaN).
        dtype: dtype of the queries. A bool mask would be converted, and kept, by every layer.

    Returns:
        [R, 1, L, L], 0 where the second token may be seen and -inf elsewhere.
    """
    unseen = documents[:, None, :, None] != documents[:, None, None, :]
    unseen |= unseen.new_ones(unseen.shape[2:]).triu_(1)
    return torch.zeros(unseen.shape, dtype=dtype, device=unseen.device).masked_fill_(
        unseen, -torch.inf
    )


def run_rows(backbone: Qwen2Model, inputs: Tensor, documents: Tensor, positions: Tensor) -> Tensor:
    """Return the outputs [R, L, D] of rows that hold several documents each.

    Args:
        backbone: network that `make_backbone` returned.
        inputs: [R, L, D].
        documents: [R, L] int64 document of each token, -1 at padding.
        positions: [R, L] int64 place of each token in its document.
    """
    device = inputs.device.type
    is_mixed = torch.is_autocast_enabled(device)
    dtype = torch.get_autocast_dtype(device) if is_mixed else inputs.dtype
    return backbone(
        inputs_embeds=inputs,
        attention_mask=make_document_mask(documents, dtype),
        position_ids=positions,
        use_cache=False,
    ).last_hidden_state
