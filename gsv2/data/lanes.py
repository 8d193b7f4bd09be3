"""Lanes: who reads which clips of an epoch, and in windows of what size.

Pure functions of (rows, seed, epoch): ranks and workers have no part in it.
"""

from __future__ import annotations

import heapq
import math
from itertools import pairwise

import numpy as np

from gsv2.data.manifest import CorpusError
from gsv2.data.order import draw_generator, draw_order
from gsv2.data.table import ClipTable

_PIECES_PER_LANE = 2  # shards above 1 / (2 x lanes) of the hours are split, so that lanes balance


class LaneMap:
    """The clips of every lane in every epoch.

    Shards, or block ranges of large ones, are dealt to the lanes anew every epoch, so that every
    lane reads about equally long; inside a piece the order is that of the tar.
    """

    def __init__(self, table: ClipTable, num_lanes: int, seed: int) -> None:
        self._table = table
        self._num_lanes = num_lanes
        self._seed = seed
        self._pieces = _cut_pieces(table, num_lanes)  # [pieces + 1] borders in table.rows
        self._seconds = np.add.reduceat(table.seconds[table.rows], self._pieces[:-1])
        self._dealt: dict[int, list[list[int]]] = {}

    def rows(self, lane: int, epoch: int) -> np.ndarray:
        """Return the clips that a lane reads in an epoch, in reading order, [n] int64."""
        pieces = self._deal(epoch)[lane]
        order = draw_order(len(pieces), draw_generator(self._seed, epoch, lane))
        starts, stops = self._pieces[:-1], self._pieces[1:]
        chosen = [pieces[place] for place in order]
        return np.concatenate([self._table.rows[starts[p] : stops[p]] for p in chosen])

    def _deal(self, epoch: int) -> list[list[int]]:
        """Give every piece, longest first, to the lane with the least so far."""
        if epoch not in self._dealt:
            order = draw_order(len(self._seconds), draw_generator(self._seed, epoch))
            # classes of about equal length, so that the shuffle inside a class still counts
            size_class = np.round(2 * np.log2(np.maximum(self._seconds[order], 1e-3)))
            order = order[np.argsort(-size_class, kind="stable")]
            lanes: list[list[int]] = [[] for _ in range(self._num_lanes)]
            loads = [(0.0, lane) for lane in range(self._num_lanes)]
            for piece in order.tolist():
                load, lane = loads[0]
                lanes[lane].append(piece)
                heapq.heapreplace(loads, (load + float(self._seconds[piece]), lane))
            while len(self._dealt) > 1:  # lanes are at most about one epoch apart
                self._dealt.pop(next(iter(self._dealt)))
            self._dealt[epoch] = lanes
        return self._dealt[epoch]


def cut_windows(num_bytes: np.ndarray, limit: float) -> list[tuple[int, int]]:
    """Cut a lane's clips into consecutive windows of at most `limit` bytes, at least one clip.

    Args:
        num_bytes: [n] undecoded bytes of each clip, in reading order.
        limit: of a window, in bytes.

    Returns:
        (start, stop) of each window.
    """
    ends = np.cumsum(num_bytes)
    borders = [0]
    while borders[-1] < len(ends):
        before = int(ends[borders[-1] - 1]) if borders[-1] else 0
        stop = int(np.searchsorted(ends, before + limit, side="right"))
        borders.append(max(stop, borders[-1] + 1))
    return list(pairwise(borders))


def _cut_pieces(table: ClipTable, num_lanes: int) -> np.ndarray:
    """Return the borders of the pieces, [pieces + 1] positions in `table.rows`.

    Raises:
        CorpusError: fewer clips than lanes.
    """
    count = len(table.rows)
    if count < num_lanes:
        raise CorpusError(
            f"data.lanes ({num_lanes}) must not exceed the number of clips ({count}); "
            f"set data.lanes to {count} or less, or add data"
        )
    shards = table.shards[table.rows]
    shard_borders = _borders(np.flatnonzero(np.diff(shards)) + 1, count)
    pieces = _cut_at_blocks(table, shard_borders, num_lanes)
    if len(pieces) - 1 >= num_lanes:
        return pieces
    return _cut_evenly(shard_borders, num_lanes)


def _cut_at_blocks(table: ClipTable, shard_borders: np.ndarray, num_lanes: int) -> np.ndarray:
    """Split long shards between speaker blocks."""
    rows = table.rows
    changes = (np.diff(table.shards[rows]) != 0) | (np.diff(table.blocks[rows]) != 0)
    blocks = _borders(np.flatnonzero(changes) + 1, len(rows))
    ends = np.concatenate([[0.0], np.cumsum(table.seconds[rows])])
    limit = ends[-1] / (_PIECES_PER_LANE * num_lanes)
    borders = [shard_borders]
    for start, stop in pairwise(shard_borders.tolist()):
        parts = math.ceil((ends[stop] - ends[start]) / limit)
        wanted = np.linspace(ends[start], ends[stop], parts + 1)[1:-1]
        places = blocks[np.searchsorted(ends[blocks], wanted)]
        borders.append(places[(places > start) & (places < stop)])
    return np.unique(np.concatenate(borders))


def _cut_evenly(shard_borders: np.ndarray, num_lanes: int) -> np.ndarray:
    """Split shards between clips: a small corpus has fewer blocks than lanes."""
    count = int(shard_borders[-1])
    borders = [shard_borders]
    for start, stop in pairwise(shard_borders.tolist()):
        share = _PIECES_PER_LANE * num_lanes * (stop - start) / count
        parts = min(stop - start, math.ceil(share))
        borders.append(np.linspace(start, stop, parts + 1).astype(np.int64))
    return np.unique(np.concatenate(borders))


def _borders(inner: np.ndarray, count: int) -> np.ndarray:
    return np.concatenate([[0], inner, [count]]).astype(np.int64)
