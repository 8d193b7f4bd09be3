"""Windows: the clips of a lane from which its next micro-batches are made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np


class PartPosition(NamedTuple):
    """Where one part of the mixture stands in a lane."""

    epoch: int
    shard_range: int
    """Place in the epoch's order of shard ranges."""
    offset: int
    """Clips of the shard range that were taken."""
    clock: float
    """Audio taken so far, divided by the part's share; see `gsv2.data.plan.mixture`."""


class LanePosition(NamedTuple):
    """Where a window begins: enough to go on from there, or to count as far."""

    lane: int
    place: int
    """Micro-batches of the lane before the window."""
    window: int
    """Number of the window in the lane, from 0."""
    parts: tuple[PartPosition, ...]

    def to_plain(self) -> list[Any]:
        """Return nested lists of numbers, for JSON."""
        return [self.lane, self.place, self.window, [list(part) for part in self.parts]]

    @classmethod
    def from_plain(cls, values: Sequence[Any]) -> LanePosition:
        """Return the position that `to_plain` described."""
        lane, place, window, parts = values
        return cls(lane, place, window, tuple(PartPosition(*part) for part in parts))


class PlannedBatch(NamedTuple):
    """A micro-batch that does not know its number yet."""

    sequences: tuple[tuple[int, ...], ...]
    """Rows of the index: the clips of each same-speaker sequence, in prompt order."""
    passes: tuple[tuple[int, int], ...]
    """Mixture part and epoch of each sequence."""
    packed_rows: tuple[int, ...]
    """Packed row of each sequence, ascending; empty unless packed."""
    tokens: int
    """Units of the budget (frames or tokens) without padding."""
    padding: float
    """Share of the padded micro-batch that is padding."""


@dataclass(frozen=True, eq=False)
class Window:
    """Clips that a lane reads in one go, at most `data.window_mb` of them or a single one."""

    position: LanePosition
    rows: np.ndarray
    """[n] int64 rows of the index in reading order: range after range, each in the
    order of its tar."""
    plan_batches: Callable[[], Sequence[PlannedBatch]] = field(repr=False)
    """Groups the clips into micro-batches."""
    cut_following: Callable[[int], Window] = field(repr=False)
    """Makes the next window of the lane, given the number of micro-batches of this one."""

    @cached_property
    def batches(self) -> Sequence[PlannedBatch]:
        """The micro-batches of the window, in order."""
        return self.plan_batches()

    @cached_property
    def following(self) -> Window:
        """The next window of the lane; a lane has no end."""
        return self.cut_following(len(self.batches))
