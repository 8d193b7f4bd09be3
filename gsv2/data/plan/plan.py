"""Plan of a run: which clips form which micro-batch, a pure function of (index, config, seed).

The stream is `data.lanes` logical lanes; micro-batch k is the next one of lane k mod lanes. Ranks
and workers only choose which k they read, so any layout reads the same sequence. A lane reads its
clips in windows; inside a window clips are grouped into same-speaker sequences, sequences into
micro-batches, and those are shuffled. No audio is touched, and of the index only the shards that
the lanes come to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gsv2.data.config import DataConfig
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.plan.batch_planner import BatchPlanner
from gsv2.data.plan.cursor import LaneCursor, LaneWindows
from gsv2.data.plan.lanes import LaneAssignment
from gsv2.data.plan.mixture import make_mixture
from gsv2.data.plan.table import ClipTable
from gsv2.data.plan.window import LanePosition, Window

_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class MicroBatchPlan:
    """One micro-batch, before anything is read."""

    micro_batch: int
    """Global number k."""
    lane: int
    epoch: int
    """Epoch of the lane; the lowest of its sequences' where a mixture has several."""
    sequences: tuple[tuple[int, ...], ...]
    """Rows of the index: the clips of each same-speaker sequence, in prompt order."""
    passes: tuple[tuple[int, int], ...]
    """Mixture part and epoch of each sequence."""
    packed_rows: tuple[int, ...]
    """Packed row of each sequence, ascending; empty unless packed."""
    tokens: int
    """Units of the budget (frames or tokens) without padding."""
    padding: float
    """Share of the padded micro-batch that is padding."""
    window: Window = field(compare=False, repr=False)
    """Window of the lane that it was made from."""


class Plan:
    """The endless sequence of micro-batches of a training run.

    Args:
        index: index of all sources.
        config: the `data` section.
        seed: seed of the run's shuffling.
        members: members of a clip that are read, of `audio` and `codes`; clips without them
            are left out.

    Attributes:
        parts: parts of the mixture; one unless sources have weights or languages a temperature.
        left_out: reason -> clips that are not read, of the `num_examined` first looked at.

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
        self.table = table = ClipTable(index, config, self.members)
        self.left_out = table.left_out
        self.num_examined = table.num_examined
        self.parts = make_mixture(index, config)
        self._assignments = [LaneAssignment(table, part, config.lanes, seed) for part in self.parts]
        planner = BatchPlanner(config, table.budget, seed)
        self.num_packed_rows = planner.num_packed_rows
        """Number of rows of a packed micro-batch; 0 unless packed."""
        self.row_tokens = config.row_tokens or 0
        """Number of tokens of a packed row; 0 unless packed."""
        self._windows = LaneWindows(
            self.parts, self._assignments, config.window_mb * _MIB, config.window_clips, planner
        )

    @property
    def num_clips(self) -> int:
        """Clips of all sources, less those that were seen to be left out."""
        return self.index.num_clips - sum(self.left_out.values())

    def micro_batch(self, k: int) -> MicroBatchPlan:
        """Return micro-batch k, by planning what its lane reads before."""
        return next(self.iterate(start=k))

    def iterate(
        self, start: int = 0, stride: int = 1, positions: Mapping[int, LanePosition] | None = None
    ) -> Iterator[MicroBatchPlan]:
        """Yield micro-batches start, start + stride, start + 2 stride, ... without end.

        Lanes that are not visited are not planned.

        Args:
            start: first micro-batch.
            stride: between micro-batches.
            positions: lane -> where a window at or before its first micro-batch begins; a lane
                without one is planned from its beginning.
        """
        num_lanes, positions = self.config.lanes, positions or {}
        cursors: dict[int, LaneCursor] = {}
        k = start
        while True:
            lane = k % num_lanes
            if lane not in cursors:
                cursors[lane] = LaneCursor(self.window(lane, positions.get(lane)))
            window, batch = cursors[lane].take(k // num_lanes)
            epoch = min(epoch for _, epoch in batch.passes)
            yield MicroBatchPlan(k, lane, epoch, *batch, window)
            k += stride

    def window(self, lane: int, position: LanePosition | None = None) -> Window:
        """Return the window of a lane that begins at `position`; None for its first.

        Raises:
            ValueError: the position is of another mixture.
        """
        if position is None:
            return self._windows.first(lane)
        if len(position.parts) != len(self.parts):
            raise ValueError(
                f"data.sources: the run was in a mixture of {len(position.parts)} parts, "
                f"but the config has {len(self.parts)}; keep the sources of a run, or start "
                "another"
            )
        return self._windows.cut(position)

    def single_pass(self) -> Iterator[MicroBatchPlan]:
        """Yield every clip once: epoch 0 of all lanes, one after the other, numbered from 0.

        Only for plans of one mixture part.
        """
        assert len(self.parts) == 1, "a mixture has no common epoch"
        k = 0
        for lane in range(self.config.lanes):
            window = self.window(lane)
            while window.position.parts[0].epoch == 0:
                for batch in window.batches:
                    if batch.passes[0][1] == 0:
                        yield MicroBatchPlan(k, lane, 0, *batch, window)
                        k += 1
                window = window.following

    def lane_epoch_keys(self, part: int, lane: int, epoch: int) -> Iterator[str]:
        """Yield the keys of the clips that a lane reads of a mixture part in an epoch."""
        assignment = self._assignments[part]
        for shard_range in assignment.ranges(lane, epoch):
            shard = self.index.shards[shard_range.shard]
            keys = self.index.read(shard, ["key"])["key"]
            yield from keys.take(assignment.clips(shard_range).rows - shard.start).to_pylist()


def unweighted_plan(
    index: CorpusIndex, config: DataConfig, seed: int, members: Sequence[str]
) -> Plan:
    """Return the plan of reading every clip once, without weights and temperature."""
    sources = [replace(source, weight=None) for source in config.sources]
    natural = replace(config, sources=sources, language_temperature=1.0)
    return Plan(index, natural, seed, members)


def validation_plan(
    index: CorpusIndex, config: DataConfig, seed: int, members: Sequence[str]
) -> Plan:
    """Return the plan of a validation, to be read by `Plan.single_pass`: one lane, any size."""
    return unweighted_plan(index, replace(config, lanes=1), seed, members)


def describe_plan(
    plan: Plan, *, world: int = 1, workers: int = 0, start: int = 0
) -> Iterator[dict[str, Any]]:
    """Yield the micro-batches that a run would read, as plain values, without end.

    Args:
        world: number of ranks.
        workers: DataLoader processes of a rank.
        start: first micro-batch.

    Raises:
        ValueError: the layout does not divide the lanes.
    """
    check_layout(plan.config.lanes, world, workers)
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


def check_step(micro_batches: int, world: int) -> None:
    """Check that the ranks can share an optimizer step.

    Raises:
        ValueError: names the numbers of ranks that can.
    """
    if micro_batches % world:
        fitting = [str(n) for n in range(1, micro_batches + 1) if micro_batches % n == 0]
        raise ValueError(
            f"data.micro_batches_per_step must be a multiple of the {world} ranks, but is "
            f"{micro_batches}: the step of all ranks together, which {', '.join(fitting)} can share"
        )


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
