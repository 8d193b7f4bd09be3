"""Means over the targets of all micro-batches and ranks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from gsv2.training.distributed.ranks import Distributed


class WeightedMeans:
    """Named means; those of tensors stay on the device until `sums`."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor | float] = {}
        self._weights: dict[str, float] = {}

    def add(self, values: Mapping[str, Tensor | float], weight: float) -> None:
        """Add means over `weight` targets.

        Args:
            values: name -> [] tensor, or what the host knows, which costs the device nothing.
            weight: number of targets; 0 adds the names only.
        """
        for name, value in values.items():
            number = value.detach().double() if isinstance(value, Tensor) else value
            part = number * weight if weight else 0.0
            self._sums[name] = self._sums[name] + part if name in self._sums else part
            self._weights[name] = self._weights.get(name, 0.0) + weight

    def sums(self) -> dict[str, tuple[float, float]]:
        """Return name -> sum and weight of this rank; waits for the device once."""
        tensors = {name: value for name, value in self._sums.items() if isinstance(value, Tensor)}
        numbers = torch.stack(list(tensors.values())).tolist() if tensors else []
        sums = {**self._sums, **dict(zip(tensors, numbers, strict=True))}
        return {name: (float(total), self._weights[name]) for name, total in sums.items()}

    def reduce(self, distributed: Distributed) -> dict[str, float]:
        """Return the means over all ranks, the same on each. Collective."""
        return merge_sums(distributed.gather(self.sums()))


def merge_sums(ranks: Iterable[Mapping[str, tuple[float, float]]]) -> dict[str, float]:
    """Return the means over the sums of all ranks; a name without targets is left out."""
    totals: dict[str, tuple[float, float]] = {}
    for of_rank in ranks:
        for name, (total, weight) in of_rank.items():
            old_total, old_weight = totals.get(name, (0.0, 0.0))
            totals[name] = (old_total + total, old_weight + weight)
    return {name: total / weight for name, (total, weight) in totals.items() if weight}
