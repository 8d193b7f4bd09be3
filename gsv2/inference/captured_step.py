"""Captured step of the GPT: one CUDA graph in place of some hundred launches a token.

A graph replays what was recorded, on the same memory: the cache has a fixed number of places, and a
mask hides those that are not filled yet. When all are filled, one of twice the places is recorded.
Without a GPU the same step runs without a graph, which is how it is tested.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gsv2.models.gpt.single_step import rotations, step_layers
from gsv2.nn.key_value_cache import KeyValueCache

if TYPE_CHECKING:
    from transformers import Qwen2Model

_WARM_UPS = 3
"""Runs before a recording, in which kernels are chosen and workspaces taken."""


class CapturedStep:
    """The backbone over one more input a row, again and again; rows stay the same.

    Args:
        backbone: network of which `can_step` is true.
        cache: keys and values of the prompt.
        mask: [B, L] bool: places of the prompt that are valid, of those in the cache.
        num_places: places of the cache; more than L.
    """

    def __init__(
        self, backbone: Qwen2Model, cache: KeyValueCache, mask: Tensor, num_places: int
    ) -> None:
        self._backbone = backbone
        self._filled = mask.shape[1]
        self._memory = {layer: _enlarged(kv, num_places) for layer, kv in cache.filled().items()}
        keys = self._memory[0][0]
        B, device = len(mask), mask.device
        self._place = torch.tensor([self._filled], device=device)
        self._positions = mask.sum(dim=1)
        self._seen = torch.full((B, 1, 1, num_places), -torch.inf, dtype=keys.dtype, device=device)
        self._seen[..., : self._filled].masked_fill_(mask[:, None, None], 0.0)
        self._inputs = keys.new_zeros(B, backbone.config.hidden_size)
        self._table = rotations(backbone, num_places, self._inputs)
        self._output = self._inputs
        self._graph: torch.cuda.CUDAGraph | None = None

    @property
    def has_room(self) -> bool:
        """Whether one more input has a place."""
        return self._filled < self._seen.shape[-1]

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return the output [B, D] for inputs [B, D]; no earlier result is overwritten."""
        self._inputs.copy_(inputs)
        self._seen.index_fill_(3, self._place, 0.0)
        if not inputs.is_cuda:
            self._output = self._compute()
        elif self._graph is None:
            self._graph = self._record()
            self._graph.replay()
        else:
            self._graph.replay()
        self._place += 1
        self._positions += 1
        self._filled += 1
        return self._output.clone()

    def update(self, key: Tensor, value: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        """Put a token into its place; return all places, see `KeyValueCache.update`."""
        memory = self._memory[layer]
        for all_places, new in zip(memory, (key, value), strict=True):
            all_places.index_copy_(2, self._place, new)
        return memory

    def into(self, cache: KeyValueCache) -> None:
        """Give a cache all tokens so far."""
        cache.refill(
            {
                layer: (keys[:, :, : self._filled], values[:, :, : self._filled])
                for layer, (keys, values) in self._memory.items()
            }
        )

    def _compute(self) -> Tensor:
        rotation = self._table[:, self._positions][:, :, None, None]
        return step_layers(self._backbone, self._inputs, rotation, self, self._seen)

    def _record(self) -> torch.cuda.CUDAGraph:
        """Record the step; it computes on what is in its memory, and changes only its own place."""
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(_WARM_UPS):
                self._compute()
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            self._output = self._compute()
        return graph


def _enlarged(kept: tuple[Tensor, Tensor], num_places: int) -> tuple[Tensor, Tensor]:
    """Return memory [B, H, num_places, E] that begins with keys and values; zero beyond.

    What a mask hides is multiplied with zero, and must be finite.
    """
    keys, values = kept
    made = [x.new_zeros(*x.shape[:2], num_places, x.shape[3]) for x in (keys, values)]
    for memory, old in zip(made, kept, strict=True):
        memory[:, :, : old.shape[2]] = old
    return made[0], made[1]
