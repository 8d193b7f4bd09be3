"""Read-ahead of one mixture part in one lane: epoch after epoch of its clips, from any place."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gsv2.data.corpus.manifest import CorpusError
from gsv2.data.plan.lanes import LaneAssignment
from gsv2.data.plan.table import ClipColumns
from gsv2.data.plan.window import PartPosition

_MAX_EMPTY_EPOCHS = 64
"""A lane may get nothing but left-out clips in an epoch; not in so many."""


class ReadAhead(NamedTuple):
    """Clips that come next, in reading order, with the clock at which each is due."""

    clips: ClipColumns
    epochs: np.ndarray
    """[n] int64."""
    ranges: np.ndarray
    """[n] int64 place of the clip's shard range in its epoch."""
    offsets: np.ndarray
    """[n] int64 place of the clip in its shard range."""
    clocks: np.ndarray
    """[n + 1] float64: clock before each clip, and after the last."""
    end: tuple[int, int]
    """Epoch and shard range that come after the last clip."""

    def position_after(self, count: int) -> PartPosition:
        """Return where the part stands when `count` clips are taken."""
        clock = float(self.clocks[count])
        if count == len(self.epochs):
            epoch, shard_range = self.end
            return PartPosition(epoch, shard_range, 0, clock)
        epoch, shard_range, offset = self.epochs[count], self.ranges[count], self.offsets[count]
        return PartPosition(int(epoch), int(shard_range), int(offset), clock)


class ReadLimits(NamedTuple):
    """Where reading ahead ends."""

    num_bytes: float
    """Undecoded bytes; the clip that exceeds them is the last."""
    num_clips: int
    """Clips; the shard range that exceeds them is the last."""
    within_epoch: bool
    """Whether it ends at the end of the epoch of the first clip."""


def read_ahead(
    assignment: LaneAssignment,
    lane: int,
    position: PartPosition,
    share: float,
    limits: ReadLimits,
) -> ReadAhead:
    """Return the clips after `position`, until they exceed the limits.

    Args:
        assignment: shard ranges of the mixture part.
        lane: lane that reads.
        share: share of the part in the mixture.

    Raises:
        CorpusError: the lane gets no clip in many epochs.
    """
    epoch, place, offset = position.epoch, position.shard_range, position.offset
    parts: list[ClipColumns] = []
    places: list[np.ndarray] = []  # [n, 3] epoch, shard range, offset
    num_bytes, num_clips, num_empty = 0, 0, 0
    while num_bytes <= limits.num_bytes and num_clips <= limits.num_clips:
        ranges = assignment.ranges(lane, epoch)
        if place < len(ranges):
            clips = assignment.clips(ranges[place])
            clips = clips.cut(offset, len(clips.rows))
            if len(clips.rows):
                parts.append(clips)
                places.append(_places(epoch, place, offset, len(clips.rows)))
                num_bytes += int(clips.num_bytes.sum())
                num_clips += len(clips.rows)
                num_empty = 0
            place, offset = place + 1, 0
        if place >= len(ranges):
            epoch, place, offset, num_empty = epoch + 1, 0, 0, num_empty + 1
            if limits.within_epoch and parts:
                break
            if num_empty > _MAX_EMPTY_EPOCHS:
                raise CorpusError(
                    f"data: lane {lane} finds no clip in {_MAX_EMPTY_EPOCHS} epochs, since almost "
                    "all are left out; widen data.min_clip_sec, data.max_clip_sec or the budget"
                )
    clips = ClipColumns.join(parts)
    numbers = np.concatenate(places)
    clocks = position.clock + np.concatenate([[0.0], np.cumsum(clips.seconds / share)])
    epochs, places_of_ranges, offsets = numbers.T
    return ReadAhead(clips, epochs, places_of_ranges, offsets, clocks, (epoch, place))


def _places(epoch: int, shard_range: int, offset: int, count: int) -> np.ndarray:
    places = np.empty((count, 3), dtype=np.int64)
    places[:, 0], places[:, 1] = epoch, shard_range
    places[:, 2] = np.arange(offset, offset + count)
    return places
