"""BENCHMARKS row 4: audio shards, FLAC -> float32 batches, on one core.

    python benchmarks/audio_shards.py [--rounds 7]

Ours: `make_validation_loader` over a corpus of synthetic clips, resume state on, CRC-32 checked.
Peer: webdataset + soundfile over the same tars, padded batches of the same size. Limit: decoding
alone, the same FLAC bytes already in memory. Process time, one thread; A and B alternate.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import soundfile
import torch
import webdataset

from gsv2.data.encode import ClipRecord, ShardConfig
from gsv2.data.index import CorpusIndex
from gsv2.data.plan import validation_plan
from gsv2.data.reader import MappedReader
from gsv2.data.schema import SAMPLE_RATE, DataConfig, SourceConfig
from gsv2.data.shards import write_corpus
from gsv2.data.stream import make_validation_loader

NUM_CLIPS = 240
BATCH_CLIPS = 8
MAX_DRIFT = 0.15
"""The run is void if decoding alone took this share longer or shorter at its end."""
TARGET = 0.95
"""Of decoding alone, from BENCHMARKS.md."""


def main() -> None:
    """Measure and print a table and one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7, help="alternations of ours and theirs")
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        corpus = _make_corpus(Path(folder) / "corpus")
        index = CorpusIndex.open(SourceConfig(path=str(corpus)))
        reader = MappedReader(index, ("audio",))
        content = [bytes(reader.read(row)["audio"]) for row in range(index.num_clips)]
        tars = [str(shard.tar) for shard in index.shards]
        config = DataConfig(sources=[], max_frames=BATCH_CLIPS * 150, max_clips=1)
        loader = make_validation_loader(validation_plan(index, config, 0, ("audio",)))

        assert sum(map(len, map(_decode, content))) == _samples(loader) == _peer(tars)
        runs: dict[str, Callable[[], object]] = {
            "decode alone": lambda: [_decode(flac) for flac in content],
            "gsv2": lambda: _samples(loader),
            "webdataset + soundfile": lambda: _peer(tars),
        }
        times: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(rounds):
            for name, run in runs.items():
                times[name].append(_process_time(run))
    _report(times)


def _make_corpus(path: Path) -> Path:
    """Write clips of 1 to 5 s of noise under syllables, by 12 speakers."""
    rng = np.random.default_rng(0)

    def clips():
        for number in range(NUM_CLIPS):
            time_sec = np.arange(int(rng.uniform(1, 5) * SAMPLE_RATE)) / SAMPLE_RATE
            tone = np.sin(2 * np.pi * 150 * time_sec) * np.sin(9 * time_sec) ** 2
            wave = (0.1 * tone + 0.01 * rng.standard_normal(len(time_sec))).astype(np.float32)
            yield ClipRecord(
                key=f"clip{number:04d}",
                wave=wave,
                text="a clip of noise",
                language="xx",
                speaker=f"speaker{number % 12}",
            )

    write_corpus(clips(), path, ShardConfig())
    return path


def _decode(flac: bytes) -> np.ndarray:
    return soundfile.read(io.BytesIO(flac), dtype="float32")[0]


def _samples(loader: object) -> int:
    """Read every batch; return the number of real samples."""
    return sum(int(batch.wave_lengths.sum()) for batch in loader)


def _peer(tars: list[str]) -> int:
    """Do the same with webdataset: decode, pad, stack."""
    dataset = webdataset.WebDataset(tars, shardshuffle=False).to_tuple("flac")
    total, pending = 0, []
    for (flac,) in dataset:
        pending.append(torch.from_numpy(_decode(flac)))
        if len(pending) == BATCH_CLIPS:
            torch.nn.utils.rnn.pad_sequence(pending, batch_first=True)
            total += sum(map(len, pending))
            pending = []
    return total + sum(map(len, pending))


def _process_time(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def _report(times: dict[str, list[float]]) -> None:
    limit = times["decode alone"]
    drift = abs(limit[-1] / limit[0] - 1)
    print(f"row 4, audio shards: {NUM_CLIPS} clips, {len(limit)} rounds, process time\n")
    print("| what | median s | of the limit | spread |")
    print("| --- | --- | --- | --- |")
    figures = {}
    for name, own in times.items():
        ratios = [a / b for a, b in zip(limit, own, strict=True)]
        figures[name] = statistics.median(ratios)
        spread = f"{min(ratios):.3f}-{max(ratios):.3f}"
        print(f"| {name} | {statistics.median(own):.3f} | {figures[name]:.3f} | {spread} |")
    print(f"\ntarget: gsv2 >= {TARGET}; measured {figures['gsv2']:.3f}")
    if drift > MAX_DRIFT:
        print(f"VOID: decoding alone drifted by {drift:.0%} over the run")
    versions = {"python": platform.python_version(), "torch": torch.__version__, "threads": 1}
    print(json.dumps({"row": 4, "of_limit": figures, "drift": drift, "versions": versions}))


if __name__ == "__main__":
    main()
