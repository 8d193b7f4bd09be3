"""Which clips form which micro-batch: a pure function of (index, config, seed).

The stream is `data.lanes` logical lanes; micro-batch k is the next one of lane k mod lanes. Ranks
and workers only choose which k they read, so any layout reads the same sequence. A lane reads its
clips in windows; inside a window clips are grouped into same-speaker sequences, sequences into
buckets, and the buckets are shuffled. No audio is touched.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from gsv2.data.bucketing import cut_buckets
from gsv2.data.index import CorpusIndex
from gsv2.data.lanes import LaneMap, cut_windows
from gsv2.data.order import draw_generator, draw_order
from gsv2.data.prompts import make_sequences
from gsv2.data.schema import DataConfig
from gsv2.data.table import ClipTable

_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class MicroBatchPlan:
    """One micro-batch, before anything is read."""

    micro_batch: int
    """Global number k."""
    lane: int
    epoch: int
    """Of the lane."""
    sequences: tuple[tuple[int, ...], ...]
    """Rows of the index: the clips of each same-speaker sequence, in prompt order."""
    tokens: int
    """Units of the budget (frames or tokens) without padding."""
    padding: float
    """Share of the padded micro-batch that is padding."""


class _Draft(NamedTuple):
    """A micro-batch that does not know its number yet."""

    sequences: tuple[tuple[int, ...], ...]
    tokens: int
    padding: float


class Plan:
    """The endless sequence of micro-batches of a training run.

    Args:
        index: of all sources.
        config: the `data` section.
        seed: of the run.
        members: what the stage reads of a clip, of `audio` and `codes`; clips without them are
            left out.

    Attributes:
        left_out: reason -> number of clips that are never read.

    Raises:
        CorpusError: no clip is left, too few for the lanes, or a budget that too many exceed.
    """

    def __init__(
        self, index: CorpusIndex, config: DataConfig, seed: int, members: Sequence[str]
    ) -> None:
        self.index = index
        self.config = config
        self.seed = seed
        self.members = tuple(members)
        self._table = ClipTable(index, config, self.members)
        self._lanes = LaneMap(self._table, config.lanes, seed)
        self._counts: dict[tuple[int, int], int] = {}  # (lane, epoch) -> micro-batches
        self.left_out = self._table.left_out

    @property
    def num_clips(self) -> int:
        """Clips of an epoch."""
        return len(self._table.rows)

    def micro_batch(self, k: int) -> MicroBatchPlan:
        """Return micro-batch k."""
        return next(self.iterate(start=k))

    def iterate(self, start: int = 0, stride: int = 1) -> Iterator[MicroBatchPlan]:
        """Yield micro-batches start, start + stride, start + 2 stride, ... without end.

        Lanes that are not visited are not planned. A lane's first micro-batch is found by
        planning what it reads before, unless this plan has been there.
        """
        num_lanes = self.config.lanes
        lanes: dict[int, _LaneCursor] = {}
        k = start
        while True:
            lane = k % num_lanes
            if lane not in lanes:
                lanes[lane] = _LaneCursor(self, lane)
            epoch, draft = lanes[lane].take(k // num_lanes)
            yield MicroBatchPlan(k, lane, epoch, *draft)
            k += stride

    def single_pass(self) -> Iterator[MicroBatchPlan]:
        """Yield every clip once: epoch 0 of all lanes, one after the other, numbered from 0."""
        k = 0
        for lane in range(self.config.lanes):
            for draft in self.lane_epoch(lane, 0):
                yield MicroBatchPlan(k, lane, 0, *draft)
                k += 1

    def lane_epoch(self, lane: int, epoch: int) -> Iterator[_Draft]:
        """Yield the micro-batches of one lane in one epoch."""
        rows = self._lanes.rows(lane, epoch)
        windows = cut_windows(self._table.num_bytes[rows], self.config.window_mb * _MIB)
        count = 0
        for number, (start, stop) in enumerate(windows):
            rng = draw_generator(self.seed, epoch, lane, number)
            drafts = self._draft_window(rows[start:stop], rng)
            count += len(drafts)
            yield from drafts
        self._counts[lane, epoch] = count

    def known_count(self, lane: int, epoch: int) -> int | None:
        """Return the number of micro-batches of a lane epoch, if it was planned before."""
        return self._counts.get((lane, epoch))

    def _draft_window(self, rows: np.ndarray, rng: np.random.Generator) -> list[_Draft]:
        """Group, bucket and shuffle the clips of one window."""
        table, budget = self._table, self._table.budget
        lengths = table.lengths[rows]
        sequences = make_sequences(
            rows,
            table.voices[rows],
            table.seconds[rows],
            lengths,
            max_clips=self.config.max_clips,
            max_seconds=self.config.max_seconds,
            budget=budget,
            rng=rng,
        )
        length_of = dict(zip(rows.tolist(), lengths.tolist(), strict=True))
        parts = [[length_of[row] for row in sequence] for sequence in sequences]
        sizes = np.array([budget.size(part) for part in parts], dtype=np.int64)  # [Q, 2]
        buckets = cut_buckets(sizes[:, 0], sizes[:, 1], budget.limit)
        drafts = []
        for place in draw_order(len(buckets), rng):
            chosen = np.sort(buckets[place])  # the random order that make_sequences drew
            tokens = sum(sum(parts[q]) for q in chosen)
            cost = int(sizes[chosen, 0].sum() * sizes[chosen, 1].max())
            drafts.append(_Draft(tuple(sequences[q] for q in chosen), tokens, 1.0 - tokens / cost))
        return drafts


class _LaneCursor:
    """A place in one lane that moves forward."""

    def __init__(self, plan: Plan, lane: int) -> None:
        self._plan = plan
        self._lane = lane
        self._epoch = 0
        self._place = 0  # number in the lane of the next draft
        self._drafts: Iterator[_Draft] | None = None

    def take(self, place: int) -> tuple[int, _Draft]:
        """Return the epoch and content of the lane's micro-batch number `place`."""
        assert place >= self._place, "a cursor only moves forward"
        while True:
            count = self._plan.known_count(self._lane, self._epoch)
            if self._drafts is None and count is not None and self._place + count <= place:
                self._place += count
            else:
                self._drafts = self._drafts or self._plan.lane_epoch(self._lane, self._epoch)
                for draft in self._drafts:
                    self._place += 1
                    if self._place > place:
                        return self._epoch, draft
            self._epoch, self._drafts = self._epoch + 1, None


def validation_plan(
    index: CorpusIndex, config: DataConfig, seed: int, members: Sequence[str]
) -> Plan:
    """Return the plan of a validation, to be read by `Plan.single_pass`: one lane, any size."""
    return Plan(index, replace(config, lanes=1), seed, members)


def describe_plan(
    config: DataConfig,
    *,
    seed: int,
    members: Sequence[str],
    world: int = 1,
    workers: int = 0,
    start: int = 0,
) -> Iterator[dict[str, Any]]:
    """Yield the micro-batches that a run would read, as plain values, without end.

    Args:
        config: the `data` section.
        seed: of the run.
        members: of the stage.
        world: number of ranks.
        workers: DataLoader processes of a rank.
        start: first micro-batch.
    """
    check_layout(config.lanes, world, workers)
    plan = Plan(CorpusIndex.open(*config.sources), config, seed, members)
    for item in plan.iterate(start):
        yield {
            "micro_batch": item.micro_batch,
            "lane": item.lane,
            "rank": item.micro_batch % world,
            "worker": (item.micro_batch - start) // world % max(workers, 1),
            "epoch": item.epoch,
            "sequences": [[plan.index.key(row) for row in rows] for rows in item.sequences],
            "tokens": item.tokens,
            "padding": item.padding,
        }


def check_layout(lanes: int, world: int, workers: int) -> None:
    """Check that every worker of every rank can take whole lanes.

    Raises:
        ValueError: names the nearest numbers of lanes that fit.
    """
    readers = world * max(workers, 1)
    if lanes % readers:
        below, above = lanes // readers * readers, -(-lanes // readers) * readers
        fitting = f"{below} or {above}" if below else f"{above}"
        raise ValueError(
            f"data.lanes ({lanes}) must be a multiple of ranks x workers ({world} x "
            f"{max(workers, 1)} = {readers}); the nearest that fit: {fitting}"
        )
