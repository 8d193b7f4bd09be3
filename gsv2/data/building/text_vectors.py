"""Sidecar corpus with the text vectors of a corpus's clips; a call that was ended goes on."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence, Set
from pathlib import Path
from typing import Any

import numpy as np

from gsv2.data.building.sidecar import (
    ClipArrayKind,
    ClipArrays,
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


_KIND = ClipArrayKind("text vectors", TEXTS_SCHEMA, _members)


def write_text_vectors(
    corpus: Path,
    out: Path,
    vectors: ClipArrays,
    encoder: str,
    *,
    build: dict[str, Any] | None = None,
    overwrite: bool = False,
    workers: Workers | None = None,
) -> Manifest:
    """Write sidecar tars with text vectors, float16; `out` appears complete or not at all.

    An ended call keeps its whole shards, and the next one of the same encoder goes on.

    Args:
        corpus: the corpus whose texts were encoded.
        out: folder of the sidecar corpus.
        vectors: yields (shard name, key, [S, D] vectors) shard after shard in the order of the
            corpus, without the shards that it is given; clips that it leaves out get none.
        encoder: hash of the text encoder.
        build: what corpus.json says of how they were made.
        overwrite: replace a complete sidecar at `out`.
        workers: this process among others that make the same call; None = alone.

    Raises:
        CorpusError: a shard or key that the corpus does not have, shards out of order, vectors of
            different dimensions, or none at all.
        ValueError: vectors that are not [S, D] or not finite in float16.
    """
    audio = read_manifest(corpus)
    index = CorpusIndex.open(SourceConfig(path=str(corpus)))

    def write(
        building: Path, entry: ShardEntry, of_shard: dict[str, np.ndarray]
    ) -> tuple[ShardEntry, Set[int]]:
        dims = {array.shape[1] for array in of_shard.values() if array.ndim > 1}
        shard = write_clip_arrays(index, building, entry, _KIND, of_shard)
        return shard, dims

    def finish(shards: Sequence[ShardEntry], dims: Set[int]) -> Manifest:
        if len(dims) != 1:
            raise CorpusError(f"text vectors {out} must have one dimension, not {set(dims)}")
        return Manifest(
            kind="texts",
            shards=tuple(shards),
            languages=totals_by_language(shards),
            num_speakers=audio.num_speakers,
            build={"corpus": os.path.relpath(corpus.resolve(), out.resolve()), **(build or {})},
            text_encoder=encoder,
            text_dim=next(iter(dims)),
        )

    return build_sidecar(
        out,
        audio.shards,
        vectors,
        write,
        finish,
        overwrite=overwrite,
        resume=json.dumps([encoder, [(shard.name, shard.sha256) for shard in audio.shards]]),
        workers=workers,
    )
