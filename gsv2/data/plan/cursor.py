"""Windows of a lane, one after the other, and the micro-batches in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from gsv2.data.plan.lanes import LaneAssignment
from gsv2.data.plan.mixture import MixturePart
from gsv2.data.plan.read_ahead import ReadAhead, ReadLimits, read_ahead
from gsv2.data.plan.table import ClipColumns
from gsv2.data.plan.window import LanePosition, PartPosition, PlannedBatch, Window


class WindowClips(NamedTuple):
    """The clips of a window, in reading order."""

    clips: ClipColumns
    parts: np.ndarray
    """[n] int64 mixture part of each clip."""
    epochs: np.ndarray
    """[n] int64 epoch of each clip's mixture part."""


PlanBatches = Callable[[LanePosition, WindowClips], Sequence[PlannedBatch]]
"""Groups the clips of a window into micro-batches."""


class LaneWindows:
    """Cuts the windows of any lane: a pure function of where a window begins.

    A window takes clips of every mixture part in the order of their clocks, up to `limit` bytes and
    `max_clips`, and at least one. With one part it ends with the epoch; a mixture has no
    common epoch.

    Args:
        parts: parts of the mixture.
        assignments: shard ranges of each part.
        limit: number of bytes of a window.
        max_clips: number of clips of a window.
        plan_batches: groups the clips of a window into micro-batches.
    """

    def __init__(
        self,
        parts: Sequence[MixturePart],
        assignments: Sequence[LaneAssignment],
        limit: float,
        max_clips: int,
        plan_batches: PlanBatches,
    ) -> None:
        self._parts = parts
        self._assignments = assignments
        self._limit = limit
        self._max_clips = max_clips
        self._plan_batches = plan_batches

    def first(self, lane: int) -> Window:
        """Return the first window of a lane."""
        positions = tuple(PartPosition(0, 0, 0, 0.0) for _ in self._parts)
        return self.cut(LanePosition(lane, 0, 0, positions))

    def cut(self, position: LanePosition) -> Window:
        """Return the window that begins at `position`."""
        reads, counts = self._choose(position)
        taken = [read.clips.cut(0, count) for read, count in zip(reads, counts, strict=True)]
        pairs = list(zip(reads, counts, strict=True))
        chosen = WindowClips(
            clips=ClipColumns.join(taken),
            parts=np.repeat(np.arange(len(counts)), counts),
            epochs=np.concatenate([read.epochs[:count] for read, count in pairs]),
        )
        after = [read.position_after(count) for read, count in pairs]
        base = min(part.clock for part in after)  # clocks stay small, so that they stay exact
        after = [part._replace(clock=part.clock - base) for part in after]
        return Window(
            position=position,
            rows=chosen.clips.rows,
            plan_batches=partial(self._plan_batches, position, chosen),
            cut_following=partial(self._follow, position, tuple(after)),
        )

    def _follow(
        self, position: LanePosition, after: tuple[PartPosition, ...], num_batches: int
    ) -> Window:
        return self.cut(
            LanePosition(position.lane, position.place + num_batches, position.window + 1, after)
        )

    def _choose(self, position: LanePosition) -> tuple[list[ReadAhead], list[int]]:
        """Return what comes next of every part, and how much of it is in the window."""
        limits = [self._limit * min(1.0, 2.0 * part.share) for part in self._parts]
        while True:
            reads = [self._ahead(position, number, limits[number]) for number in range(len(limits))]
            clocks = np.concatenate([read.clocks[:-1] for read in reads])
            order = np.argsort(clocks, kind="stable")
            num_bytes = np.concatenate([read.clips.num_bytes for read in reads])[order]
            count = int(np.searchsorted(np.cumsum(num_bytes), self._limit, side="right"))
            count = min(max(count, 1), self._max_clips)
            if len(limits) == 1:
                return reads, [count]
            last = clocks[order[count - 1]]
            short = [n for n, read in enumerate(reads) if read.clocks[-1] < last]
            if not short and count < len(order):
                owners = np.repeat(np.arange(len(reads)), [len(s.epochs) for s in reads])
                counts = np.bincount(owners[order[:count]], minlength=len(reads))
                return reads, counts.tolist()
            for number in short or range(len(limits)):
                limits[number] *= 2.0

    def _ahead(self, position: LanePosition, number: int, limit: float) -> ReadAhead:
        return read_ahead(
            self._assignments[number],
            position.lane,
            position.parts[number],
            self._parts[number].share,
            ReadLimits(limit, self._max_clips, within_epoch=len(self._parts) == 1),
        )


class LaneCursor:
    """A place in one lane that moves forward, a window at a time in memory."""

    def __init__(self, window: Window) -> None:
        self._window = window

    def take(self, place: int) -> tuple[Window, PlannedBatch]:
        """Return the lane's micro-batch number `place` and its window.

        Raises:
            ValueError: it lies before the window that the cursor began with.
        """
        while place >= self._window.position.place + len(self._window.batches):
            self._window = self._window.following
        if place < self._window.position.place:
            raise ValueError(
                f"lane {self._window.position.lane}: micro-batch {place} of the lane lies before "
                f"its position at {self._window.position.place}"
            )
        return self._window, self._window.batches[place - self._window.position.place]
