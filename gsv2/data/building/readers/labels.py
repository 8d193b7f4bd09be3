"""Labels by identifier, such as the speaker of each recording, at 12 bytes each."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from hashlib import blake2b

import numpy as np


class Labels:
    """A map from many identifiers to few labels; the last label of an identifier counts."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        hashes, numbers = array("Q"), array("i")
        known: dict[str, int] = {}
        for identifier, label in pairs:
            hashes.append(_hash(identifier))
            numbers.append(known.setdefault(label, len(known)))
        found = np.array(hashes, dtype=np.uint64)
        order = np.argsort(found, kind="stable")
        self._hashes = found[order]
        self._numbers = np.array(numbers, dtype=np.int32)[order]
        self._labels = list(known)

    def __len__(self) -> int:
        return len(self._hashes)

    def get(self, identifier: str) -> str:
        """Return the label of an identifier; "" if it has none."""
        mark = np.uint64(_hash(identifier))
        place = int(np.searchsorted(self._hashes, mark, side="right")) - 1
        if place < 0 or self._hashes[place] != mark:
            return ""
        return self._labels[self._numbers[place]]


def _hash(text: str) -> int:
    content = text.encode(errors="surrogateescape")
    return int.from_bytes(blake2b(content, digest_size=8).digest(), "little")
