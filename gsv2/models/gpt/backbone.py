"""Backbone of the GPT, a decoder-only transformer: transformers' Qwen2, fed with vectors.

transformers takes seconds to import, so that it is imported where a GPT is made: other stages, and
commands that make none, start without it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from gsv2.nn.document_attention import attend_documents
from gsv2.nn.documents import Documents

if TYPE_CHECKING:
    from transformers import Qwen2Model

_UNIT_INIT_STD = 0.64
"""Standard deviation of initial weights, times sqrt(dim): Qwen2's 0.02 at its width of 1024."""
_ATTENTION = "gsv2"
"""Name of our attention in transformers."""


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

    _register_attention()
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
            attn_implementation=_ATTENTION,
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


def mask_dtype(inputs: Tensor) -> torch.dtype:
    """Return the dtype that a backbone's attention computes in, which its masks should have."""
    device = inputs.device.type
    is_mixed = torch.is_autocast_enabled(device)
    return torch.get_autocast_dtype(device) if is_mixed else inputs.dtype


def run_rows(
    backbone: Qwen2Model, inputs: Tensor, documents: Documents, positions: Tensor
) -> Tensor:
    """Return the outputs [R, L, D] of rows that hold several documents each.

    Args:
        backbone: network that `make_backbone` returned.
        inputs: [R, L, D].
        documents: where documents are in the rows, end to end.
        positions: [R, L] int64 place of each token in its document.
    """
    return backbone(
        inputs_embeds=inputs.flatten(0, 1)[None],
        attention_mask={"full_attention": None},  # so that none is made
        position_ids=positions.flatten()[None],
        use_cache=False,
        documents=documents,
    ).last_hidden_state.view(inputs.shape)


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float = 1.0,
    documents: Documents | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """Attend as transformers' layers ask: inside documents, or by its own function for torch's.

    Args:
        module: layer that asks.
        query: [B, H, T, E].
        key: [B, H', T', E].
        value: [B, H', T', E].
        attention_mask: mask that transformers has made.
        dropout: probability of dropping an attention weight.
        scaling: factor on the products of queries and keys.
        documents: where documents are in T tokens, B = 1; None = the mask says all.
        others: what else its function understands.

    Returns:
        [B, T, H, E], and no weights.
    """
    if documents is None:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        mask = (attention_mask, dropout, scaling)
        mixed, _ = sdpa_attention_forward(module, query, key, value, *mask, **others)
        return mixed, None
    heads = attend_documents(query[0], key[0], value[0], documents, scaling, dropout)
    return heads.transpose(0, 1)[None].contiguous(), None


def _register_attention() -> None:
    """Tell transformers of our attention, by name."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(_ATTENTION, _attention)
    AttentionMaskInterface.register(_ATTENTION, sdpa_mask)
