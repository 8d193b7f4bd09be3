"""Lanes: who reads which clips of a component in which epoch.

Pure functions of (index, config, seed, epoch): ranks and workers have no part in it.
"""

from __future__ import annotations

import heapq
import math
from collections import OrderedDict
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from gsv2.data.corpus.manifest import CorpusError
from gsv2.data.corpus.shard import Shard
from gsv2.data.plan.mixture import Component
from gsv2.data.plan.order import Draw, draw_generator, draw_order
from gsv2.data.plan.table import ClipColumns, ClipTable

_PIECES_PER_LANE = 2  # shards above 1 / (2 x lanes) of the hours are split, so that lanes balance
_KEPT_PIECES = 100_000
"""Dealt pieces that are kept, over the epochs last asked for."""


class Piece(NamedTuple):
    """Clips of a shard that are read one after the other."""

    shard: int
    start: int
    """Place among the clips of the shard that are read."""
    stop: int | None
    """None = to the end of the shard, of which nothing was read to cut it."""


class Deal:
    """The pieces of one component that every lane reads in every epoch.

    Shards, or block ranges of large ones, are dealt to the lanes anew every epoch, so that every
    lane reads about equally long; inside a piece the order is that of the tar. Only shards that
    are split are looked into: at most two for a lane.

    Raises:
        CorpusError: fewer clips than lanes.
    """

    def __init__(self, table: ClipTable, component: Component, num_lanes: int, seed: int) -> None:
        self._table = table
        self._component = component
        self._num_lanes = num_lanes
        self._seed = seed
        self._pieces, self._seconds = _cut_pieces(table, component, num_lanes)
        self._epochs: OrderedDict[int, list[list[int]]] = OrderedDict()

    def pieces(self, lane: int, epoch: int) -> list[Piece]:
        """Return what a lane reads in an epoch, in reading order."""
        dealt = self._deal(epoch)[lane]
        rng = draw_generator(self._seed, Draw.PIECES, self._component.number, epoch, lane)
        return [self._pieces[dealt[place]] for place in draw_order(len(dealt), rng)]

    def clips(self, piece: Piece) -> ClipColumns:
        """Return the clips of a piece, in reading order; none if all were left out."""
        columns = self._table.shard(piece.shard)
        return columns if piece.stop is None else columns.cut(piece.start, piece.stop)

    def _deal(self, epoch: int) -> list[list[int]]:
        """Give every piece, longest first, to the lane with the least so far."""
        if epoch not in self._epochs:
            rng = draw_generator(self._seed, Draw.DEAL, self._component.number, epoch)
            order = draw_order(len(self._pieces), rng)
            # classes of about equal length, so that the shuffle inside a class still counts
            size_class = np.round(2 * np.log2(np.maximum(self._seconds[order], 1e-3)))
            order = order[np.argsort(-size_class, kind="stable")]
            lanes: list[list[int]] = [[] for _ in range(self._num_lanes)]
            loads = [(0.0, lane) for lane in range(self._num_lanes)]
            for piece in order.tolist():
                load, lane = loads[0]
                lanes[lane].append(piece)
                heapq.heapreplace(loads, (load + float(self._seconds[piece]), lane))
            self._epochs[epoch] = lanes
            if len(self._epochs) > max(2, _KEPT_PIECES // len(self._pieces)):
                self._epochs.popitem(last=False)
        return self._epochs[epoch]


def _cut_pieces(
    table: ClipTable, component: Component, num_lanes: int
) -> tuple[list[Piece], np.ndarray]:
    """Return the pieces of a component and their seconds, [pieces]."""
    limit = sum(shard.seconds for shard in component.shards) / (_PIECES_PER_LANE * num_lanes)
    pieces: list[Piece] = []
    seconds: list[float] = []
    for shard in component.shards:
        parts = math.ceil(shard.seconds / limit) if limit > 0 else 1
        if parts > 1:
            _add_parts(
                pieces, seconds, shard, _cut_at_blocks(table.shard(shard.number), parts), table
            )
        else:
            pieces.append(Piece(shard.number, 0, None))
            seconds.append(shard.seconds)
    if len(pieces) < num_lanes:
        return _cut_evenly(table, component, num_lanes)
    return pieces, np.array(seconds)


def _cut_at_blocks(columns: ClipColumns, parts: int) -> list[int]:
    """Return the borders of about `parts` equally long parts of a shard, between blocks."""
    blocks = np.flatnonzero(np.diff(columns.blocks)) + 1
    ends = np.concatenate([[0.0], np.cumsum(columns.seconds)])
    wanted = np.linspace(0.0, ends[-1], parts + 1)[1:-1]
    places = np.searchsorted(ends[blocks], wanted)
    inner = blocks[places[places < len(blocks)]]
    return np.unique([0, *inner.tolist(), len(columns.rows)]).tolist()


def _cut_evenly(
    table: ClipTable, component: Component, num_lanes: int
) -> tuple[list[Piece], np.ndarray]:
    """Split shards between clips: a small corpus has fewer blocks than lanes."""
    counts = {shard.number: len(table.shard(shard.number).rows) for shard in component.shards}
    total = sum(counts.values())
    if total < num_lanes:
        raise CorpusError(
            f"data.lanes ({num_lanes}) must not exceed the number of clips ({total}) of "
            f"{component.name}; set data.lanes to {total} or less, or add data"
        )
    pieces: list[Piece] = []
    seconds: list[float] = []
    for shard in component.shards:
        count = counts[shard.number]
        parts = min(count, math.ceil(_PIECES_PER_LANE * num_lanes * count / total))
        borders = np.linspace(0, count, parts + 1).astype(np.int64).tolist()
        _add_parts(pieces, seconds, shard, borders, table)
    return pieces, np.array(seconds)


def _add_parts(
    pieces: list[Piece], seconds: list[float], shard: Shard, borders: list[int], table: ClipTable
) -> None:
    columns = table.shard(shard.number)
    for start, stop in pairwise(borders):
        pieces.append(Piece(shard.number, start, stop))
        seconds.append(float(columns.seconds[start:stop].sum()))
