"""BENCHMARKS row 3: codes and their JSON from sidecar tars, in clips a second on one core.

    python -m benchmarks.token_shards [--quick] [--rounds 7] [--out runs/bench]

Ours: everything from opening the corpus on: index, plan (same-speaker sequences packed into rows,
8 lanes), `make_loader`, CRC-32 of every member, normalised texts, positions kept batch by
batch, over one epoch. Peer: webdataset over the same sidecar tars, JSON and npy decoded, padded
batches of as many clips; no order, no checks, no resume. Limit: the codes as zero-copy numpy
views of the memory-mapped tars at known places, padded by torch into the peer's batches; no JSON.
For those who count harder, the same with the padding of our own collate stands beside it.
"""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import webdataset
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from benchmarks.corpora import NUM_CODEBOOKS, write_token_corpus
from benchmarks.harness import Row, ratios
from benchmarks.options import read_options
from gsv2.data.config import DataConfig, SourceConfig
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.plan.plan import Plan
from gsv2.data.stream.collate import CODE_PADDING
from gsv2.data.stream.loader import make_loader

NUM_CLIPS = 20_000
QUICK_CLIPS = 400
ROW_TOKENS = 2048
ROWS = 8
TIMES_PEER = 8.0
SHARE_OF_LIMIT = 0.35
Pad = Callable[[list[np.ndarray]], Tensor]


class Delivered(NamedTuple):
    """What a reader handed out, for comparison."""

    num_clips: int
    num_frames: int
    code_sum: int


class CodePlace(NamedTuple):
    """Where the codes of one tar lie."""

    tar: str
    starts: list[int]
    """First byte of each array, after its npy header."""
    frames: list[int]


def main() -> None:
    """Measure and print the row."""
    options = read_options(__doc__)
    num_clips = QUICK_CLIPS if options.quick else NUM_CLIPS
    with tempfile.TemporaryDirectory() as folder, Row(3, "token shards", options) as row:
        corpus, codes = write_token_corpus(Path(folder), num_clips)
        source = SourceConfig(path=str(corpus), codes=str(codes))
        index = CorpusIndex.open(source)
        tars, places = [shard.codes_tar for shard in index.shards], _locate(index)
        mean_clips = _check_agreement(source, tars, places, num_clips)
        times = row.alternate(
            {
                "limit": partial(_read_views, places, mean_clips, _pad_by_torch),
                "strict limit": partial(_read_views, places, mean_clips, _pad_by_numpy),
                "gsv2": partial(_read_ours, source, num_clips),
                "webdataset": partial(_read_peer, tars, mean_clips),
            }
        )
        for name, seconds in times.items():
            row.rate(name, seconds, num_clips, "clips/s")
        ours = times["gsv2"]
        row.target("gsv2 / webdataset", ratios(times["webdataset"], ours), at_least=TIMES_PEER)
        row.target("gsv2 / limit", ratios(times["limit"], ours), at_least=SHARE_OF_LIMIT)
        row.figure("gsv2 / strict limit", ratios(times["strict limit"], ours))
        row.note(
            f"{num_clips} clips of 6.5 s, process time on one thread, files in the page cache, "
            f"{mean_clips} clips a batch. Ours packs {ROWS} rows of {ROW_TOKENS} tokens, planning "
            "included. The limit pads by torch as the peer does, the strict limit as we do."
        )


def _check_agreement(
    source: SourceConfig, tars: list[str], places: list[CodePlace], num_clips: int
) -> int:
    """Assert that all deliver the same codes; return our mean clips of a batch."""
    seen: dict[str, Delivered] = {}
    num_batches = num_read = 0
    for batch in make_loader(_plan(source)):
        assert not batch.bad
        num_batches, num_read = num_batches + 1, num_read + batch.num_clips
        for key, codes, frames in zip(batch.keys, batch.codes, batch.code_lengths, strict=True):
            seen[key] = _count([codes[None, :, :frames]])
        if len(seen) == num_clips:
            break
    ours = Delivered(*(sum(column) for column in zip(*seen.values(), strict=True)))
    mean_clips = round(num_read / num_batches)
    peer = _count(_peer_batches(tars, mean_clips))
    limit = _count(_view_batches(places, mean_clips, _pad_by_torch))
    strict = _count(_view_batches(places, mean_clips, _pad_by_numpy))
    assert ours == peer == limit == strict, (ours, peer, limit, strict)
    return mean_clips


def _count(batches: Iterable[Tensor]) -> Delivered:
    """Count clips, frames and the sum of the codes of [C, K, T] batches."""
    clips = frames = total = 0
    for codes in batches:
        real = codes != CODE_PADDING
        clips += len(codes)
        frames += int(real[:, 0].sum())
        total += int((codes * real).sum())
    return Delivered(clips, frames, total)


def _plan(source: SourceConfig) -> Plan:
    config = DataConfig(
        sources=[source], batching="pack", row_tokens=ROW_TOKENS, max_tokens=ROWS * ROW_TOKENS
    )
    return Plan(CorpusIndex.open(source), config, 0, ("codes",))


def _read_ours(source: SourceConfig, num_clips: int) -> None:
    """Read as many clips as an epoch has, and keep what a checkpoint needs."""
    positions = {}
    num_read = 0
    for batch in make_loader(_plan(source)):
        positions[batch.lane] = batch.position
        num_read += batch.num_clips
        if num_read >= num_clips:
            return


def _read_peer(tars: list[str], batch_clips: int) -> None:
    for _ in _peer_batches(tars, batch_clips):
        pass


def _peer_batches(tars: list[str], batch_clips: int) -> Iterator[Tensor]:
    """Do the same with webdataset: decode npy and JSON, pad, stack."""

    def collate(samples: list[tuple[np.ndarray, dict[str, Any]]]) -> tuple[Tensor, list[str]]:
        return _pad_by_torch([codes for codes, _ in samples]), [said["text"] for _, said in samples]

    dataset = webdataset.WebDataset(tars, shardshuffle=False).decode()
    for codes, _ in dataset.to_tuple("codes.npy", "json").batched(
        batch_clips, collation_fn=collate
    ):
        yield codes


def _locate(index: CorpusIndex) -> list[CodePlace]:
    """Return where the codes of every tar lie."""
    places = []
    for shard in index.shards:
        names = ["codes_offset", "codes_length", "num_code_frames"]
        offsets, lengths, frames = index.read_numbers(shard, names).values()
        stored = 2 * NUM_CODEBOOKS * frames.astype(np.int64)  # bytes of uint16 [K, T]
        starts = (offsets + lengths - stored).tolist()
        places.append(CodePlace(shard.codes_tar, starts, frames.tolist()))
    return places


def _read_views(places: list[CodePlace], batch_clips: int, pad: Pad) -> None:
    for _ in _view_batches(places, batch_clips, pad):
        pass


def _view_batches(places: list[CodePlace], batch_clips: int, pad: Pad) -> Iterator[Tensor]:
    """Yield padded batches of zero-copy views."""
    views = _views(places)
    while batch := list(islice(views, batch_clips)):
        yield pad(batch)


def _views(places: list[CodePlace]) -> Iterator[np.ndarray]:
    """Yield [K, T] uint16 views of memory-mapped tars."""
    for tar, starts, frames in places:
        with Path(tar).open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        for start, count in zip(starts, frames, strict=True):
            flat = np.frombuffer(mapped, np.uint16, NUM_CODEBOOKS * count, start)
            yield flat.reshape(NUM_CODEBOOKS, count)


def _pad_by_torch(codes: list[np.ndarray]) -> Tensor:
    """Pad [K, T_i] to [C, K, T] as everybody does."""
    tensors = [torch.from_numpy(array.astype(np.int64)).T for array in codes]
    return pad_sequence(tensors, batch_first=True, padding_value=CODE_PADDING).transpose(1, 2)


def _pad_by_numpy(codes: list[np.ndarray]) -> Tensor:
    """Pad [K, T_i] to [C, K, T] as our collate does."""
    shape = (len(codes), NUM_CODEBOOKS, max(array.shape[1] for array in codes))
    stacked = np.full(shape, CODE_PADDING, dtype=np.int64)
    for place, array in enumerate(codes):
        stacked[place, :, : array.shape[1]] = array
    return torch.from_numpy(stacked)


if __name__ == "__main__":
    main()
