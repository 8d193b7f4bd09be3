"""Micro-batches of about equal cost: sort by length, cut under a budget of padded units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What a micro-batch may cost after padding."""

    unit: Literal["frames", "tokens"]
    """`frames`: every clip is padded to the longest clip. `tokens`: every same-speaker sequence,
    its clips end to end, is padded to the longest sequence."""
    limit: int

    def sizes(
        self, counts: np.ndarray, totals: np.ndarray, longest: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return how many padded items each sequence is, and how long they are, [Q] each.

        Args:
            counts: [Q] clips of each sequence.
            totals: [Q] units of its clips together.
            longest: [Q] units of its longest clip.
        """
        if self.unit == "tokens":
            return np.ones_like(counts), totals
        return counts, longest


def cut_buckets(
    items: np.ndarray, lengths: np.ndarray, limit: int, boundaries: Sequence[int] = ()
) -> list[np.ndarray]:
    """Cut sequences into groups whose padded cost (items x longest) is at most `limit`.

    Longest first, so that what is left over is short. Equal lengths keep their order. A sequence
    that is over the limit alone stays alone.

    Args:
        items: [Q] padded items of each sequence.
        lengths: [Q] longest of each sequence.
        limit: largest cost of a group.
        boundaries: no group holds lengths from both sides of one; a boundary belongs below.

    Returns:
        Numbers of the sequences of each group.
    """
    order = np.argsort(-lengths, kind="stable")
    filled = np.cumsum(items[order])
    classes = np.searchsorted(np.asarray(boundaries), lengths[order], side="left")
    ends = np.append(np.flatnonzero(np.diff(classes)) + 1, len(order))  # of each class
    groups = []
    start = 0
    while start < len(order):
        before = int(filled[start - 1]) if start else 0
        room = before + limit // int(lengths[order[start]])
        stop = max(int(np.searchsorted(filled, room, side="right")), start + 1)
        stop = min(stop, int(ends[np.searchsorted(ends, start, side="right")]))
        groups.append(order[start:stop])
        start = stop
    return groups
