"""BENCHMARKS row 15, second half: memory and disk of a build of a hundred thousand clips.

    python -m benchmarks.build_memory [--quick] [--rounds 7] [--out runs/bench]

Segments of 0.2 s of one recording of an hour, by a list, on one process with all checks. What
counts is how much the largest resident memory grows from one half of the clips to all of them; the
largest size of the folder of the build, against that of the corpus, is what it needs of the disk.
"""

from __future__ import annotations

import json
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import psutil

from benchmarks.harness import Row
from benchmarks.options import read_options
from gsv2.audio.wave import save_wave
from gsv2.data.building.build import build_corpus
from gsv2.data.building.build_run import BuildRun
from gsv2.data.building.checks import CheckConfig
from gsv2.data.building.encode import ShardConfig
from gsv2.data.building.intake import IntakeConfig
from gsv2.data.building.text_rate import TextRateConfig
from gsv2.heap import set_thresholds

NUM_CLIPS = 100_000
QUICK_CLIPS = 2_000
MAX_BYTES_A_CLIP = 2_000.0
RATE = 16_000
SECONDS = 0.2
_NUM_SAMPLES = 40
_SHARDS = ShardConfig(shard_mb=16.0)  # the rows of a shard are held until it is whole
_INTAKE = IntakeConfig(text_rate=TextRateConfig(), checks=CheckConfig())


@dataclass(kw_only=True)
class Watch:
    """What a build takes while it goes on."""

    folder: Path
    """Holds all that it writes."""
    every: int
    """Clips from one look to the next."""
    memory: list[int] = field(default_factory=list)
    """Resident memory at each look, in bytes."""
    disk: list[int] = field(default_factory=list)
    """Size of all files at each look, in bytes."""

    def __call__(self, done: int, _: int | None) -> None:
        """Look, if it is time."""
        if done % self.every == 0:
            self.memory.append(psutil.Process().memory_info().rss)
            self.disk.append(folder_size(self.folder))


def main() -> None:
    """Measure and report."""
    options = read_options(__doc__)
    num_clips = QUICK_CLIPS if options.quick else NUM_CLIPS
    with Row(15, "memory of a build", options) as row, tempfile.TemporaryDirectory() as folder:
        source = write_list(Path(folder) / "in", num_clips)
        corpus = Path(folder) / "out" / "corpus"
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:  # without what the probes took
            watch = pool.submit(build, source, corpus, num_clips).result()
        half, whole = max(watch.memory[: _NUM_SAMPLES // 2]), max(watch.memory)
        row.figure("largest memory, first half", half / 1e6, "MB")
        row.figure("largest memory", whole / 1e6, "MB")
        growth = 2 * (whole - half) / num_clips
        row.target("memory a clip", growth, at_most=MAX_BYTES_A_CLIP, unit="bytes")
        size = folder_size(corpus)
        row.figure("largest size on disk / that of the corpus", max(watch.disk) / size)
        row.note(f"{num_clips} clips of {SECONDS:g} s; the corpus has {size / 1e6:.0f} MB.")


def build(source: Path, corpus: Path, num_clips: int) -> Watch:
    """Build a corpus as the program does; return what that took."""
    set_thresholds()
    corpus.parent.mkdir()
    watch = Watch(folder=corpus.parent, every=num_clips // _NUM_SAMPLES)
    run = BuildRun(progress=watch)
    made = build_corpus(source, corpus, config=_SHARDS, intake=_INTAKE, run=run)
    assert made.num_clips == num_clips
    return watch


def write_list(folder: Path, count: int, recording_sec: int = 3600) -> Path:
    """Write a recording, and a list of so many segments of it in their order; return the list."""
    folder.mkdir()
    wave = 0.1 * np.random.default_rng(0).standard_normal(recording_sec * RATE)
    save_wave(folder / "long.wav", wave, RATE)
    path = folder / "list.jsonl"
    with path.open("w") as file:
        for number in range(count):
            row = {
                "audio": "long.wav", "text": f"hi {number}", "language": "en",
                "speaker": f"s{number % 50}", "duration": SECONDS,
                "offset": round(number * (recording_sec - SECONDS) / count, 4),
            }  # fmt: skip
            file.write(json.dumps(row) + "\n")
    return path


def folder_size(folder: Path) -> int:
    """Return the bytes of all files in a folder that something may be writing to."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.lstat().st_size
        except FileNotFoundError:
            continue
    return total


if __name__ == "__main__":
    main()
