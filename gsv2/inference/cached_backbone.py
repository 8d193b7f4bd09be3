"""Cached backbone: the GPT's transformer over inputs that come piece by piece.

The first piece is the prompt, padded on the left; each later one is one input a row. Rows that are
over can be dropped.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from gsv2.inference.captured_step import CapturedStep
from gsv2.inference.onnx_engine import GraphBackbone
from gsv2.models.gpt.backbone import mask_dtype
from gsv2.models.gpt.model import SemanticGPT
from gsv2.models.gpt.single_step import can_step, rotations, step_layers
from gsv2.nn.key_value_cache import KeyValueCache

_MORE_PLACES = 256
"""Places for inputs after the first piece, before memory must grow."""


class RunningStep(Protocol):
    """The backbone over one more input a row, again and again, in memory of its own."""

    @property
    def has_room(self) -> bool:
        """Whether one more input has a place."""

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return the output [B, D] for inputs [B, D]."""

    def into(self, cache: KeyValueCache) -> None:
        """Give a cache all tokens so far."""


class CachedBackbone:
    """The backbone over inputs that arrive in pieces; what it has seen costs nothing again."""

    def __init__(self, model: SemanticGPT, mask: Tensor) -> None:
        """Prepare for a first piece whose valid positions are `mask` [B, L], padded on the left."""
        graph = model.backbone if isinstance(model.backbone, GraphBackbone) else None
        self._graph = graph
        self._backbone = model.backbone if graph is None else graph.layers
        self._mask = mask
        self._is_padded = not bool(mask.all())
        self._lengths = mask.sum(dim=1)  # inputs of each row so far
        self._cache = KeyValueCache(mask.shape[1] + _MORE_PLACES)
        self._can_step = can_step(self._backbone)
        self._rotations: Tensor | None = None  # [2, L, E] of the positions from 0 on
        self._has_own_memory = graph is not None or (self._can_step and mask.is_cuda)
        self._step: RunningStep | None = None

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return the output [B, D] at the last position of the next inputs.

        Args:
            inputs: [B, L, D] the first time, [B, 1, D] later.
        """
        is_first = self._cache.get_seq_length() == 0
        if not is_first and self._has_own_memory:
            return self._run_step(inputs[:, 0])
        if is_first:
            positions = (self._mask.cumsum(dim=1) - 1).clamp(min=0)
        else:
            positions = self._lengths[:, None]
            self._lengths = self._lengths + 1
            if self._is_padded:
                self._mask = F.pad(self._mask, (0, 1), value=True)
        mask = self._make_mask(is_first, mask_dtype(inputs)) if self._is_padded else None
        if self._can_step and not is_first:
            rotation = self._rotate(positions, inputs)
            return step_layers(self._backbone, inputs[:, 0], rotation, self._cache, mask)
        output = self._backbone(
            inputs_embeds=inputs,
            attention_mask={"full_attention": mask},
            position_ids=positions,
            cache=self._cache,
            use_cache=True,
        )
        return output.last_hidden_state[:, -1]

    def keep(self, rows: Tensor) -> None:
        """Drop all rows but some, [B'] int64."""
        self._end_step()
        self._cache.keep(rows)
        self._mask, self._lengths = self._mask[rows], self._lengths[rows]

    def _run_step(self, inputs: Tensor) -> Tensor:
        """Return the output [B, D] of a running step, which is made anew when its places end."""
        if self._step is not None and not self._step.has_room:
            self._end_step()
        if self._step is None:
            self._step = self._start_step()
        self._lengths = self._lengths + 1
        self._mask = F.pad(self._mask, (0, 1), value=True)
        return self._step(inputs)

    def _start_step(self) -> RunningStep:
        if self._graph is not None:
            return self._graph.start(self._cache, self._mask)
        places = _MORE_PLACES
        while places <= self._mask.shape[1]:
            places *= 2
        return CapturedStep(self._backbone, self._cache, self._mask, places)

    def _end_step(self) -> None:
        """Take back what a running step has in its memory."""
        if self._step is not None:
            self._step.into(self._cache)
            self._step = None

    def _rotate(self, positions: Tensor, inputs: Tensor) -> Tensor:
        """Return the rotation [2, B, 1, 1, E] of positions [B, 1]."""
        known = 0 if self._rotations is None else self._rotations.shape[1]
        if known <= self._cache.get_seq_length():
            count = 2 * known + self._mask.shape[1] + _MORE_PLACES
            self._rotations = rotations(self._backbone, count, inputs)
        assert self._rotations is not None, "it was made now"
        return self._rotations[:, positions[:, 0]][:, :, None, None]

    def _make_mask(self, is_first: bool, dtype: torch.dtype) -> Tensor:
        """Return what the new inputs see, [B, 1, T, T'], 0 or -inf."""
        seen = self._mask[:, None, None, :]
        if is_first:
            before = torch.ones_like(self._mask[0]).expand(self._mask.shape[1], -1).tril()
            itself = torch.eye(len(before), dtype=torch.bool, device=before.device)
            seen = (seen & before) | itself  # padding sees itself: its softmax is no NaN
        return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill_(
            ~seen, -torch.inf
        )
