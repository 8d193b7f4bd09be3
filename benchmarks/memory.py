"""BENCHMARKS row 11, second half: memory of a DataLoader worker over two epochs of a million clips.

    python -m benchmarks.memory [--quick] [--rounds 7] [--out runs/bench]

Two workers read codes of 1 million clips (64 lanes, packed rows, all checks), twice. What counts
is the largest PSS that a worker ever has: its own pages and its share of those that it has in
common with others. RSS counts torch's pages, which all workers inherit from one parent, once for
each worker; USS leaves them out altogether. Both are reported. Flat: PSS after the second epoch
against PSS after the first.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import psutil

from benchmarks.copies import write_million
from benchmarks.harness import Row
from benchmarks.options import read_options
from benchmarks.resume import CONFIG, open_plan
from gsv2.data.config import DataConfig
from gsv2.data.stream.loader import make_loader

NUM_CLIPS = 1_000_000
WORKERS = 2
EPOCHS = 2
MAX_MB = 600.0
MAX_GROWTH = 1.05
_SAMPLES_OF_EPOCH = 50
_KINDS = ("pss", "rss", "uss")
_MB = 1e6

Sample = dict[str, float]
"""Kind of memory -> MB, of the worker that has most."""


def main() -> None:
    """Measure and report."""
    options = read_options(__doc__)
    with (
        Row(11, "memory of a worker", options) as row,
        tempfile.TemporaryDirectory() as folder,
    ):
        num_clips = 2400 if options.quick else NUM_CLIPS
        source = write_million(
            Path(folder), num_clips, template_clips=400 if options.quick else 5000
        )
        samples = read_epochs(replace(CONFIG, sources=[source]), num_clips)
        for when, place in {"start": 0, "epoch 1": _SAMPLES_OF_EPOCH, "epoch 2": -1}.items():
            for kind in _KINDS:
                row.figure(f"{kind.upper()} after {when}", samples[place][kind], "MB")
        peak = {kind: max(sample[kind] for sample in samples) for kind in _KINDS}
        row.target("largest PSS of a worker", peak["pss"], at_most=MAX_MB, unit="MB")
        row.figure("largest RSS of a worker", peak["rss"], "MB")
        row.figure("largest USS of a worker", peak["uss"], "MB")
        growth = samples[-1]["pss"] / samples[_SAMPLES_OF_EPOCH]["pss"]
        row.target("PSS after epoch 2 / after epoch 1", growth, at_most=MAX_GROWTH)


def read_epochs(config: DataConfig, num_clips: int) -> list[Sample]:
    """Read two epochs; return the memory after the first batch and 50 times an epoch."""
    loader = make_loader(open_plan(config), workers=WORKERS)
    due = [share * num_clips / _SAMPLES_OF_EPOCH for share in range(EPOCHS * _SAMPLES_OF_EPOCH + 1)]
    samples: list[Sample] = []
    read = 0
    for batch in loader:
        assert not batch.bad
        read += batch.num_clips
        while len(samples) < len(due) and read >= due[len(samples)]:
            samples.append(sample_workers())
        if len(samples) == len(due):
            return samples
    raise AssertionError("a stream has no end")


def sample_workers() -> Sample:
    """Return the memory of the worker that has most, by kind."""
    workers = psutil.Process().children()
    found = [worker.memory_full_info() for worker in workers]
    assert len(found) == WORKERS, f"{len(found)} processes besides this one"
    return {kind: max(getattr(info, kind) for info in found) / _MB for kind in _KINDS}


if __name__ == "__main__":
    main()
