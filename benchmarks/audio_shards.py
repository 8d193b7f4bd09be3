"""BENCHMARKS row 4: audio shards, FLAC -> float32 batches.

    python -m benchmarks.audio_shards [--quick] [--rounds 7] [--out runs/bench]

One core, process time: the endless `make_loader` under way, with plan, CRC-32, texts, padding and
positions to resume at. Peer: webdataset + soundfile over the same tars, padded batches of as many
clips.
Limit: decoding alone with soundfile, the same FLAC bytes already in memory, every wave forgotten
at once. Two cores, wall time: two DataLoader workers against one, under way.
"""

from __future__ import annotations

import io
import os
import tempfile
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import numpy as np
import soundfile
import torch
import webdataset
from torch.nn.utils.rnn import pad_sequence

from benchmarks.corpora import write_audio_corpus
from benchmarks.harness import Row, ratios
from benchmarks.options import Options, read_options
from gsv2.data.config import DataConfig, SourceConfig
from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.plan.plan import Plan, validation_plan
from gsv2.data.plan.window import LanePosition
from gsv2.data.stream.batch import Batch
from gsv2.data.stream.loader import make_loader, make_validation_loader
from gsv2.data.stream.reader import MappedReader

NUM_CLIPS = 480
QUICK_CLIPS = 24
MAX_FRAMES = 8000
"""Frames of a micro-batch, as in configs/vits2/base.yaml."""
BATCH_CLIPS = 50
"""Clips of the peer's batches: about as many."""
EPOCHS = 2
"""Epochs that the workers read in one round."""
SHARE_OF_LIMIT = 0.95
TIMES_ONE_WORKER = 1.8


def main() -> None:
    """Measure and print the row."""
    options = read_options(__doc__)
    num_clips = QUICK_CLIPS if options.quick else NUM_CLIPS
    with tempfile.TemporaryDirectory() as folder, Row(4, "audio shards", options) as row:
        source = SourceConfig(path=str(write_audio_corpus(Path(folder), num_clips)))
        _compare_on_one_core(row, source)
        _compare_workers(row, source, options)
        row.note(
            f"{num_clips} clips of 1 to 5 s, {BATCH_CLIPS} to a batch, files in the page cache."
        )


def _compare_on_one_core(row: Row, source: SourceConfig) -> None:
    index = CorpusIndex.open(source)
    reader = MappedReader(index, ("audio",))
    content = [bytes(reader.read(number)["audio"]) for number in range(index.num_clips)]
    tars = [shard.tar for shard in index.shards]
    validation = make_validation_loader(validation_plan(index, _config(source), 0, ("audio",)))
    samples = _decode_alone(content)
    ours = sum(int(batch.wave_lengths.sum()) for batch in validation)
    assert samples == ours == _read_peer(tars), (samples, ours, _read_peer(tars))
    stream = _Stream(make_loader(Plan(index, _config(source), 0, ("audio",)), workers=0))
    times = row.alternate(
        {
            "decoding alone": partial(_decode_alone, content),
            "gsv2": partial(stream.read, samples),
            "webdataset + soundfile": partial(_read_peer, tars),
        }
    )
    for name, seconds in times.items():
        row.rate(name, seconds, samples / SAMPLE_RATE, "x real time")
    limit = times["decoding alone"]
    row.target("gsv2 / decoding alone", ratios(limit, times["gsv2"]), at_least=SHARE_OF_LIMIT)
    row.figure("webdataset / decoding alone", ratios(limit, times["webdataset + soundfile"]))


def _compare_workers(row: Row, source: SourceConfig, options: Options) -> None:
    if (os.cpu_count() or 1) < 2:
        row.note("Two workers were not measured: this machine has one core.")
        return
    plan = Plan(CorpusIndex.open(source), _config(source), 0, ("audio",))
    epoch = sum(shard.seconds for shard in plan.index.shards) * SAMPLE_RATE
    samples = int(epoch * (1 if options.quick else EPOCHS))
    times: dict[str, list[float]] = {"1": [], "2": []}
    for _ in range(options.rounds):
        for workers, seconds in times.items():
            stream = _Stream(make_loader(plan, workers=int(workers)))
            stream.read(samples // 8)  # the workers have started and are ahead
            start = time.perf_counter()
            stream.read(samples)
            seconds.append(time.perf_counter() - start)
            del stream
    for workers, seconds in times.items():
        row.rate(f"gsv2, workers: {workers}", seconds, samples / SAMPLE_RATE, "x real time")
    gain = ratios(times["1"], times["2"])
    row.target("two workers / one worker, wall time", gain, at_least=TIMES_ONE_WORKER)


class _Stream:
    """A loader under way, read in portions of equal size.

    Whole batches come, so what one portion reads too much is taken off the next.
    """

    def __init__(self, loader: Iterable[Batch]) -> None:
        self._batches = iter(loader)
        self._ahead = 0
        self._positions: dict[int, LanePosition] = {}

    def read(self, samples: int) -> None:
        """Read so many real samples, and keep what a checkpoint needs."""
        while self._ahead < samples:
            batch = next(self._batches)
            self._positions[batch.lane] = batch.position
            self._ahead += int(batch.wave_lengths.sum())
        self._ahead -= samples


def _config(source: SourceConfig) -> DataConfig:
    return DataConfig(sources=[source], max_frames=MAX_FRAMES, max_clips=1)


def _read_peer(tars: list[str]) -> int:
    """Do the same with webdataset: decode, pad, stack."""
    dataset = webdataset.WebDataset(tars, shardshuffle=False).to_tuple("flac")
    total = 0
    for batch in dataset.batched(BATCH_CLIPS, collation_fn=lambda batch: batch):
        waves = [torch.from_numpy(_decode(flac)) for (flac,) in batch]
        pad_sequence(waves, batch_first=True)
        total += sum(map(len, waves))
    return total


def _decode_alone(content: list[bytes]) -> int:
    """Decode and forget; return the number of samples."""
    return sum(len(_decode(flac)) for flac in content)


def _decode(flac: bytes) -> np.ndarray:
    return soundfile.read(io.BytesIO(flac), dtype="float32")[0]


if __name__ == "__main__":
    main()
