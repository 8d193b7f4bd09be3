"""Move the bytes that the plan names: an IterableDataset of finished batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from gsv2.data.batch import BadClip, Batch
from gsv2.data.collate import collate
from gsv2.data.decode import Clip
from gsv2.data.plan import MicroBatchPlan, Plan, check_layout
from gsv2.data.reader import ClipReader, MappedReader, read_clip


class MicroBatchStream(IterableDataset[Batch]):
    """The micro-batches of one rank: k = rank (mod world), endless and in order.

    Clips that cannot be read are dropped and listed in `Batch.bad`; a micro-batch that loses all
    of them still comes, empty and at weight 0, so that the ranks stay in step.

    Args:
        plan: what to read.
        rank: of this process.
        world: number of ranks.
        workers: DataLoader processes of this rank, 0 = none.
        start_micro_batch: where the run continues.

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
        start_micro_batch: int = 0,
    ) -> None:
        check_layout(plan.config.lanes, world, workers)
        self._plan = plan
        self._reader = MappedReader(plan.index, plan.members)  # its columns are shared by workers
        self._world = world
        self._first = start_micro_batch + (rank - start_micro_batch) % world

    def __iter__(self) -> Iterator[Batch]:
        worker, workers = _worker()
        start = self._first + self._world * worker
        for planned in self._plan.iterate(start, stride=self._world * workers):
            yield read_batch(self._reader, self._plan, planned)


class SinglePassStream(IterableDataset[Batch]):
    """Every clip of a plan once (validation), the same number of batches on every rank.

    A rank that runs out repeats an earlier micro-batch at weight 0.

    Args:
        plan: from `validation_plan`.
        rank: of this process.
        world: number of ranks.
    """

    def __init__(self, plan: Plan, *, rank: int = 0, world: int = 1) -> None:
        self._plan = plan
        self._reader = MappedReader(plan.index, plan.members)
        self._rank = rank
        self._world = world
        self._count = sum(1 for _ in plan.single_pass())

    def __len__(self) -> int:
        return -(-self._count // self._world)

    def __iter__(self) -> Iterator[Batch]:
        worker, workers = _worker()
        last = len(self) * self._world  # one past the last number, padding included
        mine = range(self._rank + self._world * worker, last, self._world * workers)
        for planned in self._plan.single_pass():
            if planned.micro_batch in mine:
                yield read_batch(self._reader, self._plan, planned)
        for number in range(self._count, last):
            if number in mine:
                yield self._pad(number)

    def _pad(self, number: int) -> Batch:
        """Return an earlier micro-batch under a new number, at weight 0."""
        place = number % self._count
        repeated = next(islice(self._plan.single_pass(), place, None))
        batch = read_batch(self._reader, self._plan, repeated)
        return replace(batch, micro_batch=number, weight=0.0, bad=())


def make_loader(
    plan: Plan,
    *,
    rank: int = 0,
    world: int = 1,
    workers: int | None = None,
    start_micro_batch: int = 0,
) -> DataLoader[Batch]:
    """Return the endless batches of one rank of a training run.

    Args:
        plan: what to read.
        rank: of this process.
        world: number of ranks.
        workers: processes that read ahead; None = `data.workers`.
        start_micro_batch: global number of the first micro-batch.

    Raises:
        ValueError: the layout does not divide the lanes.
        CorpusError: a shard is missing.
    """
    workers = plan.config.workers if workers is None else workers
    plan.index.check_tars(plan.members)
    stream = MicroBatchStream(
        plan, rank=rank, world=world, workers=workers, start_micro_batch=start_micro_batch
    )
    return DataLoader(stream, batch_size=None, num_workers=workers)


def make_validation_loader(plan: Plan, *, rank: int = 0, world: int = 1) -> DataLoader[Batch]:
    """Return the finite batches of one rank of a validation; it can be read again and again.

    Args:
        plan: from `validation_plan`.
        rank: of this process.
        world: number of ranks.

    Raises:
        CorpusError: a shard is missing.
    """
    plan.index.check_tars(plan.members)
    return DataLoader(SinglePassStream(plan, rank=rank, world=world), batch_size=None)


def read_batch(reader: ClipReader, plan: Plan, planned: MicroBatchPlan) -> Batch:
    """Read and decode one micro-batch; clips that cannot be read are listed in `Batch.bad`."""
    bad: list[BadClip] = []
    sequences: list[list[Clip]] = []
    for rows in planned.sequences:
        read = [read_clip(reader, plan.index, row) for row in rows]
        sequences.append([clip for clip in read if isinstance(clip, Clip)])
        bad += [clip for clip in read if isinstance(clip, BadClip)]
    return collate(planned, sequences, bad)


def _worker() -> tuple[int, int]:
    """Return the number of this worker and of all workers."""
    info = get_worker_info()
    return (info.id, info.num_workers) if info else (0, 1)
