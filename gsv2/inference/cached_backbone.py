"""Cached backbone: the GPT's transformer over inputs that come piece by piece, in constant time."""

from __future__ import annotations

import torch
from torch import Tensor

from gsv2.models.gpt.model import SemanticGPT


class CachedBackbone:
    """The backbone over inputs that arrive in pieces; what it has seen costs nothing again."""

    def __init__(self, model: SemanticGPT, mask: Tensor) -> None:
        """Prepare for a first piece whose valid positions are `mask` [B, L], padded on the left."""
        self.backbone = model.backbone
        self.mask = mask
        self.padded = not bool(mask.all())
        self.cache = None

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return the output [B, D] at the last position of the next inputs [B, T, D]."""
        if self.cache is not None:
            self.mask = torch.cat([self.mask, self.mask.new_ones(inputs.shape[:2])], dim=1)
        positions = (self.mask.cumsum(dim=1) - 1).clamp(min=0)[:, -inputs.shape[1] :]
        output = self.backbone(
            inputs_embeds=inputs,
            attention_mask=self.mask if self.padded else None,
            position_ids=positions,
            cache=self.cache,
            use_cache=True,
        )
        self.cache = output.cache
        return output.last_hidden_state[:, -1]
