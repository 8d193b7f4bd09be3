"""Loader of planned batches: an IterableDataset that moves the bytes that the plan names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from itertools import chain, islice
from typing import NamedTuple

from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from gsv2.data.corpus.decode import Clip
from gsv2.data.plan.plan import MicroBatchPlan, Plan, check_layout
from gsv2.data.plan.table import excerpt_frames
from gsv2.data.plan.window import LanePosition
from gsv2.data.stream.batch import BadClip, Batch
from gsv2.data.stream.collate import collate
from gsv2.data.stream.excerpts import cut_excerpt
from gsv2.data.stream.reader import ClipReader, make_reader, read_clip
from gsv2.data.stream.wave_buffer import WaveBuffer, WaveBufferPool


class StreamStart(NamedTuple):
    """Where the batches of a run begin, or go on."""

    micro_batch: int = 0
    """Global number of the first micro-batch."""
    positions: Mapping[int, LanePosition] | None = None
    """Lane -> where it stood, to go on there without planning what was before."""


_FROM_THE_FIRST = StreamStart()


class MicroBatchStream(IterableDataset[Batch]):
    """The micro-batches of one rank: k = rank (mod world), endless and in order.

    Clips that cannot be read are dropped and listed in `Batch.bad`; a micro-batch that loses all
    of them still comes, empty and at weight 0, so that the ranks stay in step.

    Args:
        world: number of ranks.
        workers: DataLoader processes of this rank, 0 = none.

    Raises:
        ValueError: the layout does not divide the lanes.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        rank: int = 0,
        world: int = 1,
        workers: int = 0,
        start: StreamStart = _FROM_THE_FIRST,
    ) -> None:
        check_layout(plan.config.lanes, world, workers)
        self._plan = plan
        self._world = world
        self._first = start.micro_batch + (rank - start.micro_batch) % world
        self._positions = dict(start.positions or {})

    def __iter__(self) -> Iterator[Batch]:
        worker, workers = _worker()
        start = self._first + self._world * worker
        plan, pool = self._plan, WaveBufferPool()
        with closing(make_reader(plan.index, plan.members, plan.config)) as reader:
            for planned in plan.iterate(start, self._world * workers, self._positions):
                yield read_batch(reader, plan, planned, pool)


class SinglePassStream(IterableDataset[Batch]):
    """Every clip of a plan once (validation), the same number of batches on every rank.

    A rank that runs out repeats an earlier micro-batch at weight 0.

    Args:
        plan: plan from `validation_plan`.
        world: number of ranks.
    """

    def __init__(self, plan: Plan, *, rank: int = 0, world: int = 1) -> None:
        self._plan = plan
        self._rank = rank
        self._world = world
        self._count = sum(1 for _ in plan.single_pass())

    def __len__(self) -> int:
        return -(-self._count // self._world)

    def __iter__(self) -> Iterator[Batch]:
        worker, workers = _worker()
        last = len(self) * self._world  # one past the last number, padding included
        mine = range(self._rank + self._world * worker, last, self._world * workers)
        planned = (item for item in self._plan.single_pass() if item.micro_batch in mine)
        yield from self._read(planned)
        for number in range(self._count, last):
            if number in mine:
                yield self._pad(number)

    def _read(self, planned: Iterator[MicroBatchPlan]) -> Iterator[Batch]:
        plan, pool = self._plan, WaveBufferPool()
        reader = make_reader(plan.index, plan.members, plan.config, single_pass=True)
        with closing(reader):
            for item in planned:
                yield read_batch(reader, plan, item, pool)

    def _pad(self, number: int) -> Batch:
        """Return an earlier micro-batch under a new number, at weight 0."""
        place = number % self._count
        (batch,) = self._read(islice(self._plan.single_pass(), place, place + 1))
        return replace(batch, micro_batch=number, weight=0.0, bad=())


def make_loader(
    plan: Plan,
    *,
    rank: int = 0,
    world: int = 1,
    workers: int | None = None,
    start: StreamStart = _FROM_THE_FIRST,
    pin_memory: bool = False,
) -> DataLoader[Batch]:
    """Return the endless batches of one rank of a training run.

    Args:
        world: number of ranks.
        workers: processes that read ahead; None = `data.workers`.
        pin_memory: hand out page-locked tensors, from which a GPU copies while it computes.

    Raises:
        ValueError: the layout does not divide the lanes.
    """
    workers = plan.config.workers if workers is None else workers
    stream = MicroBatchStream(plan, rank=rank, world=world, workers=workers, start=start)
    return DataLoader(
        stream,
        batch_size=None,
        num_workers=workers,
        prefetch_factor=plan.config.prefetch if workers else None,
        pin_memory=pin_memory,
    )


def make_validation_loader(
    plan: Plan, *, rank: int = 0, world: int = 1, pin_memory: bool = False
) -> DataLoader[Batch]:
    """Return the finite batches of one rank of a validation; it can be read again and again.

    Args:
        plan: plan from `validation_plan`.
        world: number of ranks.
        pin_memory: see `make_loader`.
    """
    stream = SinglePassStream(plan, rank=rank, world=world)
    return DataLoader(stream, batch_size=None, pin_memory=pin_memory)


def read_batch(
    reader: ClipReader, plan: Plan, planned: MicroBatchPlan, pool: WaveBufferPool | None = None
) -> Batch:
    """Read and decode one micro-batch; clips that cannot be read are listed in `Batch.bad`.

    Args:
        reader: reader of the members that the plan asks for.
        planned: micro-batch to read.
        pool: pool of memory for waves.

    Raises:
        OSError: a remote tar stayed out of reach.
    """
    bad: list[BadClip] = []
    sequences: list[list[Clip]] = []
    window = planned.window
    reader.places.follow(window)
    most = excerpt_frames(plan.config)
    decodes_in_place = "audio" in plan.members and most is None
    buffer = _make_buffer(reader, planned, pool) if decodes_in_place else None
    place = 0
    for rows, (part, epoch) in zip(planned.sequences, planned.passes, strict=True):
        clips = []
        for row in rows:
            clip = read_clip(reader, row, window, buffer.clip(place) if buffer else None)
            place += 1
            if isinstance(clip, Clip):
                clips.append(clip if most is None else cut_excerpt(clip, most, plan.seed, epoch))
            else:
                bad.append(replace(clip, mixture_part=part, epoch=epoch))
        sequences.append(clips)
    packing = {"num_packed_rows": plan.num_packed_rows, "row_tokens": plan.row_tokens}
    return collate(planned, sequences, bad, buffer=buffer, **packing)


def _make_buffer(
    reader: ClipReader, planned: MicroBatchPlan, pool: WaveBufferPool | None
) -> WaveBuffer:
    """Return memory for the waves of a micro-batch, as long as the index says."""
    rows = chain.from_iterable(planned.sequences)
    shards = ((reader.places.shard(row), row) for row in rows)
    lengths = [int(shard.num_samples[row - shard.start]) for shard, row in shards]
    return WaveBuffer(lengths, pool)


def _worker() -> tuple[int, int]:
    """Return the number of this worker and of all workers."""
    info = get_worker_info()
    return (info.id, info.num_workers) if info else (0, 1)
