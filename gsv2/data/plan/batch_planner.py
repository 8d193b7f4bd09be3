"""Batch planner: clips of a window -> same-speaker sequences -> micro-batches, in random order."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from gsv2.data.config import DataConfig
from gsv2.data.plan.bucketing import Budget, cut_buckets
from gsv2.data.plan.cursor import WindowClips
from gsv2.data.plan.order import Draw, draw_generator, draw_order
from gsv2.data.plan.packing import pack_rows
from gsv2.data.plan.prompts import make_sequences
from gsv2.data.plan.window import LanePosition, PlannedBatch

_PASS_STEP = np.int64(0x5851F42D4C957F2D)  # odd: voices of different passes differ


class BatchPlanner:
    """Makes the micro-batches of windows: a pure function of (config, seed, window)."""

    def __init__(self, config: DataConfig, budget: Budget, seed: int) -> None:
        self._config = config
        self._budget = budget
        self._seed = seed

    @property
    def num_packed_rows(self) -> int:
        """Number of rows of a packed micro-batch; 0 unless packed."""
        config = self._config
        return (config.max_tokens or 0) // config.row_tokens if config.row_tokens else 0

    def __call__(self, position: LanePosition, window: WindowClips) -> list[PlannedBatch]:
        """Group, batch and shuffle the clips of one window."""
        rng = draw_generator(self._seed, Draw.WINDOW, position.lane, position.window)
        clips = window.clips
        number = window.epochs * len(position.parts) + window.parts
        made = make_sequences(
            clips.voices + number * _PASS_STEP,  # a clip never prompts itself
            clips.seconds,
            clips.lengths,
            config=self._config,
            budget=self._budget,
            rng=rng,
        )
        starts, lengths = made.starts, clips.lengths[made.clips]
        tokens = np.add.reduceat(lengths, starts)  # [Q]
        longest = np.maximum.reduceat(lengths, starts)  # [Q]
        groups = (
            self._pack(tokens)
            if self._config.row_tokens
            else self._bucket(*self._budget.sizes(made.sizes, tokens, longest))
        )
        rows = clips.rows[made.clips].tolist()
        borders = [*starts.tolist(), len(rows)]
        sequences = [tuple(rows[start:stop]) for start, stop in pairwise(borders)]
        first = made.clips[starts]
        passes = list(zip(window.parts[first].tolist(), window.epochs[first].tolist(), strict=True))
        batches = []
        for place in draw_order(len(groups), rng):
            chosen, packed, cost = groups[place]
            real = int(tokens[chosen].sum())
            batches.append(
                PlannedBatch(
                    sequences=tuple(sequences[q] for q in chosen),
                    passes=tuple(passes[q] for q in chosen),
                    packed_rows=packed,
                    tokens=real,
                    padding=1.0 - real / cost,
                )
            )
        return batches

    def _bucket(self, items: np.ndarray, lengths: np.ndarray) -> list[_Group]:
        boundaries = self._config.bucket_boundaries
        buckets = cut_buckets(items, lengths, self._budget.limit, boundaries)
        costs = [int(items[bucket].sum() * lengths[bucket].max()) for bucket in buckets]
        # ascending: the random order that make_sequences drew
        pairs = zip(buckets, costs, strict=True)
        return [_Group(sorted(bucket.tolist()), (), cost) for bucket, cost in pairs]

    def _pack(self, tokens: np.ndarray) -> list[_Group]:
        row_tokens = self._config.row_tokens
        assert row_tokens is not None, "packed batches have rows"
        packed = pack_rows(tokens, row_tokens)
        groups = []
        for start in range(0, len(packed), self.num_packed_rows):
            rows = packed[start : start + self.num_packed_rows]
            numbers = tuple(row for row, sequences in enumerate(rows) for _ in sequences)
            sequences = [q for row in rows for q in row]
            groups.append(_Group(sequences, numbers, self.num_packed_rows * row_tokens))
        return groups


class _Group(NamedTuple):
    """Sequences of one micro-batch."""

    sequences: list[int]
    packed_rows: tuple[int, ...]
    """Packed row of each sequence; empty unless packed."""
    cost: int
    """Units of the budget with padding."""
