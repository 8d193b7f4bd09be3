"""BENCHMARKS row 11: seconds to the first batch when a run resumes, deep in an epoch.

    python -m benchmarks.resume [--quick] [--rounds 7] [--out runs/bench]

Ours: from nothing in memory (index, plan and loader are opened anew) to the first decoded batch,
at clip 10 thousand and at clip 1 million of an epoch of 1.2 million, with the positions of a
checkpoint; equal to the micro-batch of an unbroken run, clips and codes. Also from k alone, and
until each of the 64 lanes has given a batch. Peer: accelerate's `skip_first_batches` over the
same loader, which reads what it skips. Limit: open the tar, read the batch's members at their
offsets. Wall time; importing Python modules is not counted, the page cache is warm for all.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import torch
from accelerate import skip_first_batches

from benchmarks.copies import write_million
from benchmarks.harness import Row
from benchmarks.options import read_options
from gsv2.data.config import DataConfig
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.plan.plan import MicroBatchPlan, Plan
from gsv2.data.plan.window import LanePosition
from gsv2.data.stream.batch import Batch
from gsv2.data.stream.loader import StreamStart, make_loader, read_batch
from gsv2.data.stream.members import MemberIndex, MemberPlace
from gsv2.data.stream.reader import make_reader

CONFIG = DataConfig(
    sources=[],
    lanes=64,
    batching="pack",
    max_tokens=16_384,
    row_tokens=4096,
    max_clips=8,
    max_seconds=60.0,
)
"""Section `data` that batches as configs/gpt/base.yaml does."""
NUM_CLIPS = 1_200_000
DEPTHS = {"clip 10 thousand": 10_000, "clip 1 million": 1_000_000}
MEMBERS = ("codes",)
MAX_PEER_SEC = 60.0
"""If the peer would take longer at its rate over the first batches, that is reported."""
_SAMPLE = 2000


class Place(NamedTuple):
    """Where a run was stopped."""

    micro_batch: int
    positions: dict[int, LanePosition]
    """Positions of the lanes that were read, as a checkpoint has them."""
    expected: MicroBatchPlan
    """What an unbroken run reads next."""


def main() -> None:
    """Measure and report."""
    options = read_options(__doc__)
    config, shrink = (replace(CONFIG, lanes=8), 500) if options.quick else (CONFIG, 1)
    with (
        Row(11, "resume", options) as row,
        tempfile.TemporaryDirectory() as folder,
    ):
        source = write_million(
            Path(folder), NUM_CLIPS // shrink, template_clips=400 if options.quick else 5000
        )
        config = replace(config, sources=[source])
        for name, clips in DEPTHS.items():
            measure_depth(row, name, config, clips // shrink)


def measure_depth(row: Row, name: str, config: DataConfig, clips: int) -> None:
    """Report the times of resuming after so many clips."""
    place = walk_to(open_plan(config), clips)
    check_equal(resume(config, place), config, place.expected)
    check_equal(resume(config, place._replace(positions={})), config, place.expected)
    times = row.alternate(
        {
            "limit": partial(open_and_seek, find_members(config, place.expected)),
            "gsv2": partial(resume, config, place),
        },
        clock=time.perf_counter,
    )
    row.target(f"{name}: gsv2, first batch", times["gsv2"], at_most=1.5, unit="s")
    row.figure(f"{name}: limit (open + seek)", times["limit"], "s")
    alone = time_once(partial(resume, config, place._replace(positions={})))
    row.target(f"{name}: gsv2, from k alone", alone, at_most=30.0, unit="s")
    every = time_once(partial(resume, config, place, config.lanes))
    row.figure(f"{name}: gsv2, a batch of each lane, one process", every, "s")
    measure_peer(row, name, config, place)


def open_plan(config: DataConfig) -> Plan:
    """Open everything that planning needs, from nothing."""
    return Plan(CorpusIndex.open(*config.sources), config, seed=0, members=MEMBERS)


def walk_to(plan: Plan, clips: int) -> Place:
    """Plan an unbroken run until it has read so many clips."""
    positions: dict[int, LanePosition] = {}
    read = 0
    for planned in plan.iterate():
        if read >= clips:
            return Place(planned.micro_batch, positions, planned)
        assert planned.epoch == 0, "the first epoch is longer than that"
        read += sum(map(len, planned.sequences))
        positions[planned.lane] = planned.window.position
    raise AssertionError("a plan has no end")


def resume(config: DataConfig, place: Place, count: int = 1) -> Batch:
    """Open everything anew and return the first of `count` batches that a run goes on with."""
    start = StreamStart(place.micro_batch, place.positions)
    loader = make_loader(open_plan(config), workers=0, start=start)
    first, *_ = islice(iter(loader), count)
    return first


def time_once(run: Callable[[], object]) -> float:
    """Return the wall time of one call, in seconds."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def measure_peer(row: Row, name: str, config: DataConfig, place: Place) -> None:
    """Report how long accelerate takes to the same batch; extrapolate if it takes too long."""
    sample = min(place.micro_batch, _SAMPLE)
    seconds = time_once(partial(skip, config, sample)) / sample * place.micro_batch
    label = f"{name}: accelerate skip_first_batches"
    if seconds > MAX_PEER_SEC:
        row.figure(f"{label}, extrapolated", seconds, "s")
        row.note(f"{name}: the peer was measured at batch {sample} of {place.micro_batch}.")
    else:
        seconds = time_once(partial(skip, config, place.micro_batch))
        row.figure(f"{label}, measured once", seconds, "s")


def check_equal(batch: Batch, config: DataConfig, expected: MicroBatchPlan) -> None:
    """Assert that a batch is the one that was planned: keys, codes, texts."""
    plan = open_plan(config)
    reader = make_reader(plan.index, plan.members, config)
    wanted = read_batch(reader, plan, expected)
    reader.close()
    assert batch.micro_batch == wanted.micro_batch
    assert (batch.keys, batch.texts, batch.position) == (wanted.keys, wanted.texts, wanted.position)
    assert torch.equal(batch.codes, wanted.codes)
    assert torch.equal(batch.packed_row, wanted.packed_row)
    assert not batch.bad


def find_members(config: DataConfig, expected: MicroBatchPlan) -> list[MemberPlace]:
    """Return where the members of a micro-batch lie."""
    members = MemberIndex(CorpusIndex.open(*config.sources), MEMBERS)
    rows = (row for sequence in expected.sequences for row in sequence)
    return [place for row in rows for place in members.locate(row)]


def open_and_seek(places: Sequence[MemberPlace]) -> int:
    """Open the tars and read the members at their offsets; return the bytes."""
    num_bytes = 0
    with ExitStack() as stack:
        tars = dict.fromkeys(place.tar for place in places)
        files = {tar: stack.enter_context(open(tar, "rb", buffering=0)) for tar in tars}
        for place in places:
            files[place.tar].seek(place.offset)
            num_bytes += len(files[place.tar].read(place.length))
    return num_bytes


def skip(config: DataConfig, count: int) -> None:
    """Let accelerate hand out the batch after `count` others."""
    loader = skip_first_batches(make_loader(open_plan(config), workers=0), count)
    (batch,) = islice(iter(loader), 1)
    assert batch.micro_batch == count


if __name__ == "__main__":
    main()
