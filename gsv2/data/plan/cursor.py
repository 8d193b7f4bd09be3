"""Windows of a lane, one after the other, and the micro-batches in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from gsv2.data.plan.lanes import Deal
from gsv2.data.plan.mixture import Component
from gsv2.data.plan.read_ahead import Stretch, read_ahead
from gsv2.data.plan.table import ClipColumns
from gsv2.data.plan.window import ComponentMark, Draft, LaneMark, Window


class WindowClips(NamedTuple):
    """The clips of a window, in reading order."""

    clips: ClipColumns
    components: np.ndarray
    """[n] int64 component of each clip."""
    epochs: np.ndarray
    """[n] int64 epoch of each clip's component."""


DraftWindow = Callable[[LaneMark, WindowClips], Sequence[Draft]]
"""Groups the clips of a window into micro-batches."""


class LaneWindows:
    """Cuts the windows of any lane: a pure function of where a window begins.

    A window takes clips of every component in the order of their clocks, up to `limit` bytes and
    `max_clips`, and at least one. With one component it ends with the epoch; a mixture has no
    common epoch.

    Args:
        components: of the mixture.
        deals: of the components.
        limit: bytes of a window.
        max_clips: clips of a window.
        draft: groups the clips of a window.
    """

    def __init__(
        self,
        components: Sequence[Component],
        deals: Sequence[Deal],
        limit: float,
        max_clips: int,
        draft: DraftWindow,
    ) -> None:
        self._components = components
        self._deals = deals
        self._limit = limit
        self._max_clips = max_clips
        self._draft = draft

    def first(self, lane: int) -> Window:
        """Return the first window of a lane."""
        marks = tuple(ComponentMark(0, 0, 0, 0.0) for _ in self._components)
        return self.cut(LaneMark(lane, 0, 0, marks))

    def cut(self, mark: LaneMark) -> Window:
        """Return the window that begins at `mark`."""
        stretches, counts = self._choose(mark)
        taken = [
            stretch.clips.cut(0, count) for stretch, count in zip(stretches, counts, strict=True)
        ]
        pairs = list(zip(stretches, counts, strict=True))
        chosen = WindowClips(
            clips=ClipColumns.join(taken),
            components=np.repeat(np.arange(len(counts)), counts),
            epochs=np.concatenate([stretch.epochs[:count] for stretch, count in pairs]),
        )
        after = [stretch.mark(count) for stretch, count in pairs]
        base = min(part.clock for part in after)  # clocks stay small, so that they stay exact
        after = [part._replace(clock=part.clock - base) for part in after]
        return Window(
            mark=mark,
            rows=chosen.clips.rows,
            make_drafts=partial(self._draft, mark, chosen),
            cut_following=partial(self._follow, mark, tuple(after)),
        )

    def _follow(self, mark: LaneMark, after: tuple[ComponentMark, ...], num_drafts: int) -> Window:
        return self.cut(LaneMark(mark.lane, mark.place + num_drafts, mark.window + 1, after))

    def _choose(self, mark: LaneMark) -> tuple[list[Stretch], list[int]]:
        """Return what comes next of every component, and how much of it is in the window."""
        limits = [self._limit * min(1.0, 2.0 * part.share) for part in self._components]
        while True:
            stretches = [self._ahead(mark, number, limits[number]) for number in range(len(limits))]
            clocks = np.concatenate([stretch.clocks[:-1] for stretch in stretches])
            order = np.argsort(clocks, kind="stable")
            num_bytes = np.concatenate([stretch.clips.num_bytes for stretch in stretches])[order]
            count = int(np.searchsorted(np.cumsum(num_bytes), self._limit, side="right"))
            count = min(max(count, 1), self._max_clips)
            if len(limits) == 1:
                return stretches, [count]
            last = clocks[order[count - 1]]
            short = [n for n, stretch in enumerate(stretches) if stretch.clocks[-1] < last]
            if not short and count < len(order):
                owners = np.repeat(np.arange(len(stretches)), [len(s.epochs) for s in stretches])
                counts = np.bincount(owners[order[:count]], minlength=len(stretches))
                return stretches, counts.tolist()
            for number in short or range(len(limits)):
                limits[number] *= 2.0

    def _ahead(self, mark: LaneMark, number: int, limit: float) -> Stretch:
        return read_ahead(
            self._deals[number],
            mark.lane,
            mark.components[number],
            share=self._components[number].share,
            limit=limit,
            max_clips=self._max_clips,
            within_epoch=len(self._components) == 1,
        )


class LaneCursor:
    """A place in one lane that moves forward, a window at a time in memory."""

    def __init__(self, window: Window) -> None:
        self._window = window

    def take(self, place: int) -> tuple[Window, Draft]:
        """Return the lane's micro-batch number `place` and its window.

        Raises:
            ValueError: it lies before the window that the cursor began with.
        """
        while place >= self._window.mark.place + len(self._window.drafts):
            self._window = self._window.following
        if place < self._window.mark.place:
            raise ValueError(
                f"lane {self._window.mark.lane}: micro-batch {place} of the lane lies before its "
                f"mark at {self._window.mark.place}"
            )
        return self._window, self._window.drafts[place - self._window.mark.place]
