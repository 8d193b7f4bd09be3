"""Windows: the stretch of a lane from which its next micro-batches are made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np


class ComponentMark(NamedTuple):
    """Where one component of the mixture stands in a lane."""

    epoch: int
    piece: int
    """Place in the epoch's order of pieces (shards or parts of shards)."""
    offset: int
    """Clips of the piece that were taken."""
    clock: float
    """Audio taken so far, divided by the component's share; see `gsv2.data.plan.mixture`."""


class LaneMark(NamedTuple):
    """Where a window begins: enough to go on from there, or to count as far."""

    lane: int
    place: int
    """Micro-batches of the lane before the window."""
    window: int
    """Number of the window in the lane, from 0."""
    components: tuple[ComponentMark, ...]

    def to_plain(self) -> list[Any]:
        """Return nested lists of numbers, for JSON."""
        return [self.lane, self.place, self.window, [list(part) for part in self.components]]

    @classmethod
    def from_plain(cls, values: Sequence[Any]) -> LaneMark:
        """Return the mark that `to_plain` described."""
        lane, place, window, components = values
        return cls(lane, place, window, tuple(ComponentMark(*part) for part in components))


class Draft(NamedTuple):
    """A micro-batch that does not know its number yet."""

    sequences: tuple[tuple[int, ...], ...]
    """Rows of the index: the clips of each same-speaker sequence, in prompt order."""
    passes: tuple[tuple[int, int], ...]
    """Component and epoch of each sequence."""
    rows: tuple[int, ...]
    """Row that each sequence is packed into, ascending; empty unless packed."""
    tokens: int
    """Units of the budget (frames or tokens) without padding."""
    padding: float
    """Share of the padded micro-batch that is padding."""


@dataclass(frozen=True, eq=False)
class Window:
    """Clips that a lane reads in one go, at most `data.window_mb` of them or a single one."""

    mark: LaneMark
    rows: np.ndarray
    """[n] int64 rows of the index in reading order: piece after piece, in the order of the tar."""
    make_drafts: Callable[[], Sequence[Draft]] = field(repr=False)
    """Groups the clips into micro-batches."""
    cut_following: Callable[[int], Window] = field(repr=False)
    """Makes the next window of the lane, given the number of micro-batches of this one."""

    @cached_property
    def drafts(self) -> Sequence[Draft]:
        """The micro-batches of the window, in order."""
        return self.make_drafts()

    @cached_property
    def following(self) -> Window:
        """The next window of the lane; a lane has no end."""
        return self.cut_following(len(self.drafts))
