"""Sidecar corpus with the text vectors of a corpus's clips; a call that was ended goes on."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence, Set
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from gsv2.data.building.sidecar import (
    ClipArrayKind,
    ClipArrays,
    Sidecar,
    Workers,
    build_sidecar,
    write_clip_arrays,
)
from gsv2.data.config import SourceConfig
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.corpus.index_columns import TEXTS_SCHEMA
from gsv2.data.corpus.manifest import (
    CorpusError,
    Manifest,
    ShardEntry,
    read_manifest,
    totals_by_language,
)
from gsv2.data.corpus.text_vectors import encode_vectors


def _members(vectors: np.ndarray, row: int) -> tuple[dict[str, bytes], dict[str, int]]:
    return {"text_vectors": encode_vectors(vectors)}, {"num_text_vectors": len(vectors)}


def _count(number: np.ndarray, row: int) -> tuple[dict[str, bytes], dict[str, int]]:
    return {}, {"num_text_vectors": int(number)}


_VECTORS = ClipArrayKind("text vectors", TEXTS_SCHEMA, _members)
_COUNTS = ClipArrayKind("numbers of subwords", TEXTS_SCHEMA, _count)


class TextVectorsOrigin(NamedTuple):
    """What made the text vectors of a corpus."""

    encoder: str
    """Hash of the text encoder."""
    build: Mapping[str, Any] = MappingProxyType({})
    """What corpus.json says of it besides."""


def write_text_vectors(
    corpus: Path,
    out: Path,
    vectors: ClipArrays,
    origin: TextVectorsOrigin,
    *,
    overwrite: bool = False,
    workers: Workers | None = None,
) -> Manifest:
    """Write sidecar tars with text vectors, float16; `out` appears complete or not at all.

    Or with how many subwords a text has, in the index alone, where numbers come instead.

    An ended call keeps its whole shards, and the next one of the same encoder goes on.

    Args:
        corpus: the corpus whose texts were encoded.
        out: folder of the sidecar corpus.
        vectors: yields (shard name, key, [S, D] vectors or [] number of subwords) shard after shard
            in the order of the corpus, without the shards that it is given; clips that it leaves
            out get none.
        origin: what made them.
        overwrite: replace a complete sidecar at `out`.
        workers: this process among others that make the same call; None = alone.

    Raises:
        CorpusError: a shard or key that the corpus does not have, shards out of order, vectors of
            different dimensions, or none at all.
        ValueError: vectors that are not [S, D] or not finite in float16.
    """
    audio = read_manifest(corpus)

    def finish(shards: Sequence[ShardEntry], dims: Set[int]) -> Manifest:
        if len(dims) > 1 or not (dims or any(shard.num_clips for shard in shards)):
            raise CorpusError(f"text vectors {out} must have one dimension, not {set(dims)}")
        return Manifest(
            kind="texts",
            shards=tuple(shards),
            languages=totals_by_language(shards),
            num_speakers=audio.num_speakers,
            build={"corpus": os.path.relpath(corpus.resolve(), out.resolve()), **origin.build},
            text_encoder=origin.encoder,
            text_dim=next(iter(dims), None),
        )

    sidecar = Sidecar(
        out=out,
        shards=audio.shards,
        write_shard=partial(_write_shard, CorpusIndex.open(SourceConfig(path=str(corpus)))),
        finish=finish,
        resume=json.dumps([origin.encoder, [(shard.name, shard.sha256) for shard in audio.shards]]),
    )
    return build_sidecar(sidecar, vectors, overwrite=overwrite, workers=workers)


def _write_shard(
    index: CorpusIndex, building: Path, entry: ShardEntry, vectors: dict[str, np.ndarray]
) -> tuple[ShardEntry, Set[int]]:
    """Write one shard; return its entry and the dimensions of its vectors."""
    dims = {array.shape[1] for array in vectors.values() if array.ndim > 1}
    are_numbers = bool(vectors) and all(array.ndim == 0 for array in vectors.values())
    kind = _COUNTS if are_numbers else _VECTORS
    return write_clip_arrays(index, building, entry, kind, vectors), dims
