"""Lanes: which ranges of shards each reads in which epoch.

Pure functions of (index, config, seed, epoch): ranks and workers have no part in it.
"""

from __future__ import annotations

import heapq
import math
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from gsv2.data.corpus.manifest import CorpusError
from gsv2.data.corpus.shard import Shard
from gsv2.data.plan.mixture import MixturePart
from gsv2.data.plan.order import Draw, draw_generator, draw_order
from gsv2.data.plan.table import ClipColumns, ClipTable
from gsv2.lru import LruCache

_RANGES_PER_LANE = 2  # shards above 1 / (2 x lanes) of the hours are split, so that lanes balance
_KEPT_RANGES = 100_000
"""Assigned shard ranges that are kept, over the epochs last asked for."""


class ShardRange(NamedTuple):
    """Clips of a shard that are read one after the other."""

    shard: int
    start: int
    """Place among the clips of the shard that are read."""
    stop: int | None
    """None = to the end of the shard, of which nothing was read to cut it."""


class LaneAssignment:
    """The shard ranges of one mixture part that every lane reads in every epoch.

    Shards, or block ranges of large ones, are assigned to the lanes anew every epoch, so that
    every lane reads about equally long; inside a range the order is that of the tar. Only shards
    that are split are looked into: at most two for a lane.

    Raises:
        CorpusError: fewer clips than lanes.
    """

    def __init__(self, table: ClipTable, part: MixturePart, num_lanes: int, seed: int) -> None:
        self._table = table
        self._part = part
        self._num_lanes = num_lanes
        self._seed = seed
        self._ranges, self._seconds = _cut_ranges(table, part, num_lanes)
        num_kept = max(2, _KEPT_RANGES // len(self._ranges))
        self._epochs: LruCache[int, list[list[int]]] = LruCache(num_kept)

    def ranges(self, lane: int, epoch: int) -> list[ShardRange]:
        """Return what a lane reads in an epoch, in reading order."""
        assigned = self._assign(epoch)[lane]
        rng = draw_generator(self._seed, Draw.RANGES, self._part.number, epoch, lane)
        return [self._ranges[assigned[place]] for place in draw_order(len(assigned), rng)]

    def clips(self, shard_range: ShardRange) -> ClipColumns:
        """Return the clips of a range, in reading order; none if all were left out."""
        columns = self._table.shard(shard_range.shard)
        return (
            columns
            if shard_range.stop is None
            else columns.cut(shard_range.start, shard_range.stop)
        )

    def _assign(self, epoch: int) -> list[list[int]]:
        """Give every range, longest first, to the lane with the least so far."""
        known = self._epochs.get(epoch)
        if known is not None:
            return known
        rng = draw_generator(self._seed, Draw.ASSIGNMENT, self._part.number, epoch)
        order = draw_order(len(self._ranges), rng)
        # classes of about equal length, so that the shuffle inside a class still counts
        size_class = np.round(2 * np.log2(np.maximum(self._seconds[order], 1e-3)))
        order = order[np.argsort(-size_class, kind="stable")]
        lanes: list[list[int]] = [[] for _ in range(self._num_lanes)]
        loads = [(0.0, lane) for lane in range(self._num_lanes)]
        for shard_range in order.tolist():
            load, lane = loads[0]
            lanes[lane].append(shard_range)
            heapq.heapreplace(loads, (load + float(self._seconds[shard_range]), lane))
        return self._epochs.put(epoch, lanes)


def _cut_ranges(
    table: ClipTable, part: MixturePart, num_lanes: int
) -> tuple[list[ShardRange], np.ndarray]:
    """Return the shard ranges of a mixture part and their seconds, [ranges]."""
    limit = sum(shard.seconds for shard in part.shards) / (_RANGES_PER_LANE * num_lanes)
    ranges: list[ShardRange] = []
    seconds: list[float] = []
    for shard in part.shards:
        parts = math.ceil(shard.seconds / limit) if limit > 0 else 1
        if parts > 1:
            _add_parts(
                ranges, seconds, shard, _cut_at_blocks(table.shard(shard.number), parts), table
            )
        else:
            ranges.append(ShardRange(shard.number, 0, None))
            seconds.append(shard.seconds)
    if len(ranges) < num_lanes:
        return _cut_evenly(table, part, num_lanes)
    return ranges, np.array(seconds)


def _cut_at_blocks(columns: ClipColumns, parts: int) -> list[int]:
    """Return the borders of about `parts` equally long parts of a shard, between blocks."""
    blocks = np.flatnonzero(np.diff(columns.blocks)) + 1
    ends = np.concatenate([[0.0], np.cumsum(columns.seconds)])
    wanted = np.linspace(0.0, ends[-1], parts + 1)[1:-1]
    places = np.searchsorted(ends[blocks], wanted)
    inner = blocks[places[places < len(blocks)]]
    return np.unique([0, *inner.tolist(), len(columns.rows)]).tolist()


def _cut_evenly(
    table: ClipTable, part: MixturePart, num_lanes: int
) -> tuple[list[ShardRange], np.ndarray]:
    """Split shards between clips: a small corpus has fewer blocks than lanes."""
    counts = {shard.number: len(table.shard(shard.number).rows) for shard in part.shards}
    total = sum(counts.values())
    if total < num_lanes:
        raise CorpusError(
            f"data.lanes ({num_lanes}) must not exceed the number of clips ({total}) of "
            f"{part.name}; set data.lanes to {total} or less, or add data"
        )
    ranges: list[ShardRange] = []
    seconds: list[float] = []
    for shard in part.shards:
        count = counts[shard.number]
        parts = min(count, math.ceil(_RANGES_PER_LANE * num_lanes * count / total))
        borders = np.linspace(0, count, parts + 1).astype(np.int64).tolist()
        _add_parts(ranges, seconds, shard, borders, table)
    return ranges, np.array(seconds)


def _add_parts(
    ranges: list[ShardRange],
    seconds: list[float],
    shard: Shard,
    borders: list[int],
    table: ClipTable,
) -> None:
    columns = table.shard(shard.number)
    for start, stop in pairwise(borders):
        ranges.append(ShardRange(shard.number, start, stop))
        seconds.append(float(columns.seconds[start:stop].sum()))
