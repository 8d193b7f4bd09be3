"""BENCHMARKS row 11, third part: planning a million clips, and finding a place from k alone.

    python -m benchmarks.planning [--quick] [--rounds 7] [--out runs/bench]

Planning: from nothing in memory (config, index and plan are opened anew), as many micro-batches in
the order of a run as read 1 million clips; process time of one thread. As configs/gpt/base.yaml
packs rows, as configs/vits2/base.yaml buckets frames, and as the GPT buckets tokens; 128 lanes.

Cold seek: a process of its own opens everything and plans the next micro-batch of every one of the
128 lanes, in the middle and at the end of the epoch, without a checkpoint's positions; equal to
those of an unbroken run. Wall time; how far its memory rose above what its imports need. No audio
is touched: the corpus is an index. The page cache is warm.
"""

from __future__ import annotations

import json
import multiprocessing
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from benchmarks.harness import Row
from benchmarks.mixes import MIXES, draw_mix, write_index
from benchmarks.options import read_options
from gsv2.commands.plan import open_plan
from gsv2.data.plan.plan import MicroBatchPlan, Plan

NUM_CLIPS = 1_000_000
MAX_MICROSECONDS = 20.0
MAX_SEEK_SEC = 30.0
DEPTHS = {"middle": 0.5, "end": 1.0}
"""Where in the epoch is sought: name -> share of the clips that were read before."""
_CONFIGS = Path(__file__).resolve().parents[1] / "configs"
_MB_OF_KB = 1e-3


class Settings(NamedTuple):
    """A way to form micro-batches: a shipped config, and what is set otherwise."""

    config: Path
    overrides: tuple[str, ...] = ()

    def of(self, corpus: Path) -> Settings:
        """Return the same settings for a corpus."""
        sources = json.dumps([{"path": str(corpus), "codes": None}])
        return self._replace(overrides=(*self.overrides, f"data.sources={sources}"))

    def open(self) -> Plan:
        """Open everything that planning needs, from nothing."""
        return open_plan(self.config, self.overrides)[1]


SETTINGS = {
    "bucket by frames": Settings(_CONFIGS / "vits2" / "base.yaml"),
    "bucket by tokens": Settings(
        _CONFIGS / "gpt" / "base.yaml", ("data.batching=bucket", "data.row_tokens=null")
    ),
    "pack": Settings(_CONFIGS / "gpt" / "base.yaml"),
}

Sequences = tuple[tuple[int, ...], ...]
"""Rows of the clips of a micro-batch."""


class Place(NamedTuple):
    """Where a run was stopped."""

    micro_batch: int
    expected: list[Sequences]
    """What an unbroken run reads next: a micro-batch of every lane."""


class Seek(NamedTuple):
    """What a process did that knew k alone."""

    seconds: float
    peak_mb: float
    """Largest resident memory, less that before it began."""
    found: list[Sequences]
    """The next micro-batch of every lane."""


def main() -> None:
    """Measure and report."""
    options = read_options(__doc__)
    multiprocessing.set_forkserver_preload(["gsv2.commands.plan"])
    with (
        Row(11, "planning", options) as row,
        tempfile.TemporaryDirectory() as folder,
    ):
        num_clips = 5000 if options.quick else NUM_CLIPS
        write_index(Path(folder), draw_mix(MIXES[0], num_clips, np.random.default_rng(0)))
        kinds = {name: settings.of(Path(folder)) for name, settings in SETTINGS.items()}
        places = {name: walk(settings.open(), num_clips) for name, settings in kinds.items()}
        times = row.alternate(
            {name: partial(plan_clips, settings, num_clips) for name, settings in kinds.items()}
        )
        for name, seconds in times.items():
            costs = [1e6 * duration / num_clips for duration in seconds]
            row.target(
                f"{name}: planning a clip", costs, at_most=MAX_MICROSECONDS, unit="microseconds"
            )
        for name, settings in kinds.items():
            for depth, place in places[name].items():
                report_seek(row, f"{name}: cold seek, {depth} of the epoch", settings, place)
        row.note(f"{num_clips} clips, {len(place.expected)} lanes; every clip once (asserted).")


def plan_clips(settings: Settings, num_clips: int) -> int:
    """Plan as a run does until so many clips were read; return the micro-batches."""
    read = 0
    for planned in settings.open().iterate():
        read += sum(map(len, planned.sequences))
        if read >= num_clips:
            break
    return planned.micro_batch + 1


def walk(plan: Plan, num_clips: int) -> dict[str, Place]:
    """Follow an unbroken run over an epoch; return where `DEPTHS` lie and what it reads there."""
    seen = np.zeros(num_clips, dtype=np.int64)
    starts: dict[str, int] = {}
    expected: dict[str, list[Sequences]] = {name: [] for name in DEPTHS}
    read = 0
    for planned in plan.iterate():
        for name, share in DEPTHS.items():
            if read >= share * num_clips:
                starts.setdefault(name, planned.micro_batch)
                if len(expected[name]) < plan.config.lanes:
                    expected[name].append(planned.sequences)
        count_epoch(planned, seen)
        read += sum(map(len, planned.sequences))
        done = all(len(batches) == plan.config.lanes for batches in expected.values())
        if done and (seen == 1).all():
            return {name: Place(starts[name], expected[name]) for name in DEPTHS}
    raise AssertionError("a plan has no end")


def count_epoch(planned: MicroBatchPlan, seen: np.ndarray) -> None:
    """Count the clips that a micro-batch reads for the first epoch; none comes twice in it."""
    first = [
        row
        for rows, (_, epoch) in zip(planned.sequences, planned.passes, strict=True)
        for row in rows
        if epoch == 0
    ]
    np.add.at(seen, first, 1)
    assert (seen[first] == 1).all(), "every clip once"


def report_seek(row: Row, name: str, settings: Settings, place: Place) -> None:
    """Report how a process finds a place, once it has found the right one."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("forkserver")) as pool:
        made = pool.submit(seek, settings, place.micro_batch).result()
    assert made.found == place.expected, "what an unbroken run reads"
    row.target(f"{name}, all lanes", made.seconds, at_most=MAX_SEEK_SEC, unit="s")
    row.figure(f"{name}, memory grew by", made.peak_mb, "MB")


def seek(settings: Settings, micro_batch: int) -> Seek:
    """Plan the next micro-batch of every lane, on one thread."""
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    before, start = read_memory_mb("VmRSS"), time.perf_counter()
    plan = settings.open()
    found = [made.sequences for made in islice(plan.iterate(micro_batch), plan.config.lanes)]
    seconds = time.perf_counter() - start
    return Seek(seconds, read_memory_mb("VmHWM") - before, found)


def read_memory_mb(kind: str) -> float:
    """Return the resident memory of this process now (`VmRSS`) or at most (`VmHWM`), in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (value,) = [line.split()[1] for line in lines if line.startswith(f"{kind}:")]
    return _MB_OF_KB * int(value)


if __name__ == "__main__":
    main()
