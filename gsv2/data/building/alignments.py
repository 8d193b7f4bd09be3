"""Alignments of a corpus's codes, written into their sidecar tars; an ended call goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence, Set
from dataclasses import replace
from pathlib import Path

import numpy as np

from gsv2.data.building.sidecar import ClipArrays, Sidecar, Workers, build_sidecar
from gsv2.data.config import SourceConfig
from gsv2.data.corpus.alignment import encode_alignment
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.corpus.index_columns import ALIGNED_SCHEMA
from gsv2.data.corpus.manifest import CorpusError, Manifest, ShardEntry, read_manifest
from gsv2.data.corpus.shard_writer import ShardWriter
from gsv2.data.stream.reader import MappedReader


def write_alignments(
    corpus: Path,
    codes: Path,
    alignments: ClipArrays,
    aligner: str,
    settings: str = "",
    workers: Workers | None = None,
) -> Manifest:
    """Write the sidecar corpus of codes anew, with alignments; the old one stays until it is whole.

    An ended call keeps its whole shards, and the next one of the same aligner goes on.

    Args:
        corpus: the corpus whose codes these are.
        codes: folder of the sidecar corpus.
        alignments: yields (shard name, key, [T] characters) shard after shard in the order of the
            corpus, without the shards that it is given; clips that it leaves out get none.
        aligner: hash of the aligner.
        settings: whatever else the alignments depend on.
        workers: this process among others that make the same call; None = alone.

    Raises:
        CorpusError: a corpus that cannot be read, or an alignment of a clip that it lacks.
        InUseError: another process writes to `codes`.
    """
    made = read_manifest(codes)
    sources = json.dumps([aligner, settings, [(s.name, s.sha256) for s in made.shards]])
    shards = _Shards(corpus, codes)

    def finish(entries: Sequence[ShardEntry], widths: Set[int]) -> Manifest:
        return replace(made, shards=tuple(entries), aligner=aligner)

    sidecar = Sidecar(
        out=codes,
        shards=made.shards,
        write_shard=shards.write,
        finish=finish,
        resume=sources,
    )
    return build_sidecar(sidecar, alignments, overwrite=True, workers=workers)


class _Shards:
    """Copies the shards of a sidecar corpus, with alignments beside the codes."""

    def __init__(self, corpus: Path, codes: Path) -> None:
        self._index = CorpusIndex.open(SourceConfig(path=str(corpus), codes=str(codes)))
        self._reader = MappedReader(self._index, ("codes",))

    def write(
        self, building: Path, entry: ShardEntry, alignments: dict[str, np.ndarray]
    ) -> tuple[ShardEntry, Set[int]]:
        """Write one shard.

        Args:
            building: staging folder.
            entry: entry of the shard as it is.
            alignments: key -> [T] characters.
        """
        left = set(alignments)
        with ShardWriter(building, entry.name, ALIGNED_SCHEMA) as shard:
            for key, row, num_frames in self._clips(entry.name):
                read = self._reader.read(row)
                members = {"codes": bytes(read["codes"]), "codes_json": bytes(read["json"])}
                if key in alignments:
                    members["align"] = encode_alignment(alignments[key])
                shard.add(key, members, num_code_frames=num_frames)
                left.discard(key)
            if left:
                raise CorpusError(f"alignment of {min(left)}: no codes of it in {entry.name}")
            return shard.finish(entry.seconds, source_sha256=entry.source_sha256), frozenset()

    def _clips(self, name: str) -> Iterator[tuple[str, int, int]]:
        """Yield key, row and code frames of the clips of one shard that have codes."""
        shard = next(shard for shard in self._index.shards if shard.name == name)
        frames = self._index.read_numbers(shard, ["num_code_frames"])["num_code_frames"]
        for row, num_frames in enumerate(frames.tolist(), shard.start):
            if num_frames >= 0:
                yield self._index.key(row), row, num_frames
