"""Least-recently-used cache: values by key, up to a total cost."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, KeysView
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class LruCache(Generic[K, V]):
    """Values in memory; beyond the limit those unused for longest go, but never the last one.

    Args:
        limit: largest sum of the values' costs.
    """

    def __init__(self, limit: float) -> None:
        self.total_cost = 0.0
        self._limit = limit
        self._values: OrderedDict[K, tuple[V, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def keys(self) -> KeysView[K]:
        """Return the keys, those unused for longest first."""
        return self._values.keys()

    def get(self, key: K) -> V | None:
        """Return a value, which counts as used now; None if it is not here."""
        if key not in self._values:
            return None
        self._values.move_to_end(key)
        return self._values[key][0]

    def put(self, key: K, value: V, cost: float = 1) -> V:
        """Keep a value, and return it."""
        self.drop(key)
        self._values[key] = value, cost
        self.total_cost += cost
        while self.total_cost > self._limit and len(self._values) > 1:
            self.drop(next(iter(self._values)))
        return value

    def drop(self, key: K) -> None:
        """Let go of a value, if it is here."""
        if key in self._values:
            self.total_cost -= self._values.pop(key)[1]
