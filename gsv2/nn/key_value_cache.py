"""Cache of keys and values of a decoder's layers, in memory that is taken ahead.

Growing tensors by concatenation copies all of them for each token. Here a token is written into its
place, and attention sees a view that ends with it: no empty place is ever attended to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

_GROWTH = 2
"""Factor on the places when there are too few."""


class KeyValueCache:
    """What transformers' decoder layers ask of a cache; one for all layers.

    Args:
        num_places: tokens for which memory is taken at first.
    """

    def __init__(self, num_places: int) -> None:
        self._num_places = max(num_places, 1)
        self._stored: dict[int, tuple[Tensor, Tensor]] = {}
        self._filled: dict[int, int] = {}

    def update(
        self, key: Tensor, value: Tensor, layer: int, *others: Any, **more: Any
    ) -> tuple[Tensor, Tensor]:
        """Add tokens of a layer, and return all of it so far.

        Args:
            key: [B, H, T, E] of new tokens.
            value: [B, H, T, E] of new tokens.
            layer: number of the layer.
            others: what transformers gives caches of other kinds.
            more: likewise.

        Returns:
            Keys and values [B, H, T', E], views of the cache until the next call.
        """
        start = self._filled.get(layer, 0)
        stop = start + key.shape[2]
        stored = self._stored.get(layer)
        if stored is None or stored[0].shape[2] < stop:
            stored = self._stored[layer] = self._enlarge(stored, (key, value), stop)
        for memory, new in zip(stored, (key, value), strict=True):
            memory[:, :, start:stop] = new
        self._filled[layer] = stop
        keys, values = (memory[:, :, :stop] for memory in stored)
        return keys, values

    def get_seq_length(self, layer: int = 0) -> int:
        """Return the tokens that a layer has seen."""
        return self._filled.get(layer, 0)

    def keep(self, rows: Tensor) -> None:
        """Forget all rows but some, [B'] int64."""
        self._stored = {
            layer: (keys[rows], values[rows]) for layer, (keys, values) in self._stored.items()
        }

    def filled(self) -> dict[int, tuple[Tensor, Tensor]]:
        """Return layer -> keys and values [B, H, T', E] so far, views of the cache."""
        return {
            layer: (keys[:, :, : self._filled[layer]], values[:, :, : self._filled[layer]])
            for layer, (keys, values) in self._stored.items()
        }

    def refill(self, filled: Mapping[int, tuple[Tensor, Tensor]]) -> None:
        """Hold other keys and values than before, [B, H, T', E] of each layer."""
        self._stored = dict(filled)
        self._filled = {layer: keys.shape[2] for layer, (keys, _) in filled.items()}

    def _enlarge(
        self, stored: tuple[Tensor, Tensor] | None, new: tuple[Tensor, Tensor], least: int
    ) -> tuple[Tensor, Tensor]:
        """Return larger memory with what a layer has."""
        places = self._num_places
        while places < least:
            places *= _GROWTH
        made = []
        for number, tensor in enumerate(new):
            B, H, _, E = tensor.shape
            memory = torch.empty(B, H, places, E, dtype=tensor.dtype, device=tensor.device)
            if stored is not None:
                old = stored[number]
                memory[:, :, : old.shape[2]] = old
            made.append(memory)
        return made[0], made[1]
