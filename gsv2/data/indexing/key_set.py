"""Set of keys that were seen, at 8 bytes each."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np


def hash_keys(keys: Sequence[str]) -> np.ndarray:
    """Return [len(keys)] uint64; two different keys in 2^64 share one."""
    digests = b"".join(blake2b(key.encode(), digest_size=8).digest() for key in keys)
    return np.frombuffer(digests, dtype=np.uint64)


class KeySet:
    """A set of key hashes that grows shard by shard.

    Sorted runs whose sizes fall by half: n keys cost O(n log n) in all, and 8 bytes each (16
    while two runs are merged).
    """

    def __init__(self) -> None:
        self._runs: list[np.ndarray] = []

    def add(self, hashes: np.ndarray) -> np.ndarray:
        """Add the keys of one shard.

        Args:
            hashes: [n] uint64.

        Returns:
            [m] places, ascending, of those that were there before or come twice in `hashes`.
        """
        order = np.argsort(hashes, kind="stable")
        run = hashes[order]
        seen = np.zeros(len(run), dtype=bool)
        seen[1:] = run[1:] == run[:-1]
        for other in self._runs:
            places = np.searchsorted(other, run)
            inside = places < len(other)
            seen[inside] |= other[places[inside]] == run[inside]
        self._insert(run)
        return np.sort(order[seen])

    def _insert(self, run: np.ndarray) -> None:
        self._runs.append(run)
        while len(self._runs) > 1 and len(self._runs[-2]) <= 2 * len(self._runs[-1]):
            last = self._runs.pop()
            self._runs[-1] = np.sort(np.concatenate([self._runs[-1], last]), kind="stable")
