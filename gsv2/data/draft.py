"""Clips of a window -> same-speaker sequences -> micro-batches, in random order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gsv2.data.bucketing import Budget, cut_buckets
from gsv2.data.cursor import WindowClips
from gsv2.data.order import Draw, draw_generator, draw_order
from gsv2.data.packing import pack_rows
from gsv2.data.prompts import make_sequences
from gsv2.data.schema import DataConfig
from gsv2.data.window import Draft, LaneMark

_PASS_STEP = np.int64(0x5851F42D4C957F2D)  # odd: voices of different passes differ


class Drafter:
    """Makes the micro-batches of windows: a pure function of (config, seed, window)."""

    def __init__(self, config: DataConfig, budget: Budget, seed: int) -> None:
        self._config = config
        self._budget = budget
        self._seed = seed

    @property
    def num_rows(self) -> int:
        """Rows of a packed micro-batch; 0 unless packed."""
        config = self._config
        return (config.max_tokens or 0) // config.row_tokens if config.row_tokens else 0

    def __call__(self, mark: LaneMark, window: WindowClips) -> list[Draft]:
        """Group, batch and shuffle the clips of one window."""
        rng = draw_generator(self._seed, Draw.WINDOW, mark.lane, mark.window)
        clips = window.clips
        number = window.epochs * len(mark.components) + window.components
        chosen = make_sequences(
            clips.voices + number * _PASS_STEP,  # a clip never prompts itself
            clips.seconds,
            clips.lengths,
            config=self._config,
            budget=self._budget,
            rng=rng,
        )
        lengths, rows = clips.lengths.tolist(), clips.rows.tolist()
        components, epochs = window.components.tolist(), window.epochs.tolist()
        parts = [[lengths[clip] for clip in sequence] for sequence in chosen]
        sizes = np.array([self._budget.size(part) for part in parts], dtype=np.int64)  # [Q, 2]
        groups = self._pack(sizes) if self._config.row_tokens else self._bucket(sizes)
        drafts = []
        for place in draw_order(len(groups), rng):
            group = groups[place]
            tokens = sum(sum(parts[q]) for q in group.sequences)
            first = [chosen[q][0] for q in group.sequences]
            drafts.append(
                Draft(
                    sequences=tuple(tuple(rows[c] for c in chosen[q]) for q in group.sequences),
                    passes=tuple((components[clip], epochs[clip]) for clip in first),
                    rows=group.rows,
                    tokens=tokens,
                    padding=1.0 - tokens / group.cost,
                )
            )
        return drafts

    def _bucket(self, sizes: np.ndarray) -> list[_Group]:
        boundaries = self._config.bucket_boundaries
        buckets = cut_buckets(sizes[:, 0], sizes[:, 1], self._budget.limit, boundaries)
        costs = [int(sizes[bucket, 0].sum() * sizes[bucket, 1].max()) for bucket in buckets]
        # ascending: the random order that make_sequences drew
        return [
            _Group(sorted(b.tolist()), (), cost) for b, cost in zip(buckets, costs, strict=True)
        ]

    def _pack(self, sizes: np.ndarray) -> list[_Group]:
        row_tokens = self._config.row_tokens
        assert row_tokens is not None, "packed batches have rows"
        packed = pack_rows(sizes[:, 1], row_tokens)
        groups = []
        for start in range(0, len(packed), self.num_rows):
            rows = packed[start : start + self.num_rows]
            numbers = tuple(row for row, sequences in enumerate(rows) for _ in sequences)
            sequences = [q for row in rows for q in row]
            groups.append(_Group(sequences, numbers, self.num_rows * row_tokens))
        return groups


class _Group(NamedTuple):
    """Sequences of one micro-batch."""

    sequences: Sequence[int]
    rows: tuple[int, ...]
    """Row of each sequence; empty unless packed."""
    cost: int
    """Units of the budget with padding."""
