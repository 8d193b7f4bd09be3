"""One component of the mixture in one lane: epoch after epoch of its clips, from any place."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gsv2.data.corpus.manifest import CorpusError
from gsv2.data.plan.lanes import Deal
from gsv2.data.plan.table import ClipColumns
from gsv2.data.plan.window import ComponentMark

_MAX_EMPTY_EPOCHS = 64
"""A lane may get nothing but left-out clips in an epoch; not in so many."""


class Stretch(NamedTuple):
    """Clips that come next, in reading order, with the clock at which each is due."""

    clips: ClipColumns
    epochs: np.ndarray
    """[n] int64."""
    pieces: np.ndarray
    """[n] int64 place of the clip's piece in its epoch."""
    offsets: np.ndarray
    """[n] int64 place of the clip in its piece."""
    clocks: np.ndarray
    """[n + 1] float64: clock before each clip, and after the last."""
    end: tuple[int, int]
    """Epoch and piece that come after the last clip."""

    def mark(self, count: int) -> ComponentMark:
        """Return where the component stands when `count` clips are taken."""
        clock = float(self.clocks[count])
        if count == len(self.epochs):
            epoch, piece = self.end
            return ComponentMark(epoch, piece, 0, clock)
        epoch, piece, offset = self.epochs[count], self.pieces[count], self.offsets[count]
        return ComponentMark(int(epoch), int(piece), int(offset), clock)


def read_ahead(
    deal: Deal,
    lane: int,
    mark: ComponentMark,
    *,
    share: float,
    limit: float,
    max_clips: int,
    within_epoch: bool,
) -> Stretch:
    """Return the clips after `mark`, until they exceed `limit` bytes or `max_clips`.

    Args:
        deal: of the component.
        lane: that reads.
        mark: where to begin.
        share: of the component in the mixture.
        limit: undecoded bytes.
        max_clips: number of clips.
        within_epoch: stop at the end of the epoch of the first clip.

    Raises:
        CorpusError: the lane gets no clip in many epochs.
    """
    epoch, place, offset = mark.epoch, mark.piece, mark.offset
    parts: list[ClipColumns] = []
    places: list[np.ndarray] = []  # [n, 3] epoch, piece, offset
    num_bytes, num_clips, num_empty = 0, 0, 0
    while num_bytes <= limit and num_clips <= max_clips:
        pieces = deal.pieces(lane, epoch)
        if place < len(pieces):
            clips = deal.clips(pieces[place])
            clips = clips.cut(offset, len(clips.rows))
            if len(clips.rows):
                parts.append(clips)
                places.append(_places(epoch, place, offset, len(clips.rows)))
                num_bytes += int(clips.num_bytes.sum())
                num_clips += len(clips.rows)
                num_empty = 0
            place, offset = place + 1, 0
        if place >= len(pieces):
            epoch, place, offset, num_empty = epoch + 1, 0, 0, num_empty + 1
            if within_epoch and parts:
                break
            if num_empty > _MAX_EMPTY_EPOCHS:
                raise CorpusError(
                    f"data: lane {lane} finds no clip in {_MAX_EMPTY_EPOCHS} epochs, since almost "
                    "all are left out; widen data.min_clip_sec, data.max_clip_sec or the budget"
                )
    clips = ClipColumns.join(parts)
    numbers = np.concatenate(places)
    clocks = mark.clock + np.concatenate([[0.0], np.cumsum(clips.seconds / share)])
    epochs, numbers_of_pieces, offsets = numbers.T
    return Stretch(clips, epochs, numbers_of_pieces, offsets, clocks, (epoch, place))


def _places(epoch: int, piece: int, offset: int, count: int) -> np.ndarray:
    places = np.empty((count, 3), dtype=np.int64)
    places[:, 0], places[:, 1] = epoch, piece
    places[:, 2] = np.arange(offset, offset + count)
    return places
