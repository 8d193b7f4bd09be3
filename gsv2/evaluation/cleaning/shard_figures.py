"""Figures of the clips of a corpus, a Parquet file a shard: ranks share them, ended calls go on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from gsv2.data.building.sidecar import OneWorker
from gsv2.data.corpus.decode import Clip
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.corpus.shard import Shard
from gsv2.files import write_atomically
from gsv2.inference.clip_batches import BatchLimit, SharedWork, clip_batches

_MADE_OF = b"gsv2_made_of"
"""Metadata key of a file: hash of all that its figures depend on."""
_CLIP_FIELDS = [pa.field(name, pa.string()) for name in ("key", "speaker", "language", "text")]


class ClipFigures(Protocol):
    """What is measured of every clip by one model."""

    @property
    def name(self) -> str:
        """Ending of the files' names."""

    @property
    def identity(self) -> str:
        """All that the figures depend on beside the clips."""

    @property
    def members(self) -> tuple[str, ...]:
        """Members of a clip that are read."""

    @property
    def limit(self) -> BatchLimit:
        """Most that a batch holds."""

    @property
    def fields(self) -> list[pa.Field]:
        """Columns of the figures."""

    def measure(self, clips: list[Clip]) -> list[Mapping[str, Any] | None]:
        """Return the figures of each clip; None where there are none."""


def measure_clips(
    figures: ClipFigures, index: CorpusIndex, folder: Path, work: SharedWork
) -> pa.Table:
    """Measure the clips of a corpus, but for the shards that are measured. Collective.

    Clips that cannot be read, or not measured, have no row.

    Args:
        figures: what is measured.
        index: index of a local corpus.
        folder: gets `LANGUAGE/SHARD.NAME.parquet` of every shard.
        work: ranks that share the shards, and who is told how far this one is.

    Returns:
        `key`, `speaker`, `language`, `text` and the figures of all clips, on every rank.
    """
    workers = work.ranks or OneWorker()
    identity = workers.on_main(lambda: figures.identity)
    files = {s.number: folder / f"{s.name}.{figures.name}.parquet" for s in index.shards}
    made_of = {s.number: _hash(identity, s) for s in index.shards}
    left = workers.on_main(lambda: [n for n in files if not _is_made(files[n], made_of[n])])
    mine = left[workers.rank :: workers.world]
    total = sum(index.shards[number].num_clips for number in mine)

    def measure() -> None:
        done = 0
        for number in mine:
            rows: list[Mapping[str, Any]] = []
            for count, of_batch in _rows(figures, index, index.shards[number]):
                rows += of_batch
                if work.progress is not None:
                    work.progress(min(done + count, total), total)
            done += index.shards[number].num_clips
            schema = pa.schema([*_CLIP_FIELDS, *figures.fields], {_MADE_OF: made_of[number]})
            _write(files[number], pa.Table.from_pylist(rows, schema))

    workers.on_all(measure)
    return pa.concat_tables(
        [pq.read_table(file).replace_schema_metadata() for file in files.values()]
    )


def _rows(
    figures: ClipFigures, index: CorpusIndex, shard: Shard
) -> Iterator[tuple[int, list[Mapping[str, Any]]]]:
    """Yield how many clips of a shard are done, and the rows of a batch."""
    others = frozenset(other.name for other in index.shards) - {shard.name}
    done = 0
    for batch in clip_batches(index, figures.members, figures.limit, skip=others):
        done += len(batch)
        clips = [clip for clip in batch if isinstance(clip, Clip)]
        found = figures.measure(clips) if clips else []
        yield (
            done,
            [
                {
                    "key": clip.key,
                    "speaker": clip.speaker,
                    "language": clip.language,
                    "text": clip.text,
                    **of_clip,
                }
                for clip, of_clip in zip(clips, found, strict=True)
                if of_clip is not None
            ],
        )


def _hash(identity: str, shard: Shard) -> str:
    parts = [identity, shard.name, shard.sha256, shard.codes_sha256]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _is_made(file: Path, made_of: str) -> bool:
    """Tell whether a file holds the figures of these clips and models."""
    if not file.is_file():
        return False
    return (pq.read_schema(file).metadata or {}).get(_MADE_OF) == made_of.encode()


def _write(file: Path, table: pa.Table) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    content = pa.BufferOutputStream()
    pq.write_table(table, content, compression="zstd")
    write_atomically(file, content.getvalue().to_pybytes())
