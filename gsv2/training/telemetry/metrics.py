"""Means over the targets of all micro-batches and ranks."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from gsv2.training.distributed import Distributed


class WeightedMeans:
    """Named means that stay on the device until `reduce`."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._weights: dict[str, float] = {}

    def add(self, values: Mapping[str, Tensor], weight: float) -> None:
        """Add means over `weight` targets.

        Args:
            values: name -> [] tensor.
            weight: number of targets; 0 adds the names only.
        """
        for name, value in values.items():
            share = value.detach().double() * weight if weight else torch.zeros_like(value).double()
            self._sums[name] = self._sums[name] + share if name in self._sums else share
            self._weights[name] = self._weights.get(name, 0.0) + weight

    def reduce(self, distributed: Distributed) -> dict[str, float]:
        """Return the means over all ranks, the same on each; waits for the device once.

        A name without targets is left out.
        """
        sums = torch.stack(list(self._sums.values())).tolist() if self._sums else []
        local = {
            name: (total, self._weights[name]) for name, total in zip(self._sums, sums, strict=True)
        }
        totals: dict[str, tuple[float, float]] = {}
        for of_rank in distributed.gather(local):
            for name, (total, weight) in of_rank.items():
                old_total, old_weight = totals.get(name, (0.0, 0.0))
                totals[name] = (old_total + total, old_weight + weight)
        return {name: total / weight for name, (total, weight) in totals.items() if weight}
