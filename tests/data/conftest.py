"""Indexes without tars: planning must not need them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gsv2.data.config import SourceConfig
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.corpus.index_columns import CLIP_SCHEMA
from gsv2.data.corpus.manifest import Manifest, ShardEntry, write_manifest


def _shard_table(number: int, num_clips: int, language: str, rng: np.random.Generator) -> pa.Table:
    seconds = rng.gamma(3.0, 2.0, num_clips).clip(0.5, 25.0)
    sizes = {"audio": seconds * 40_000, "json": np.full(num_clips, 200), "codes": seconds * 100}
    columns = {
        "key": [f"s{number}c{clip}" for clip in range(num_clips)],
        "block": np.arange(num_clips) // 8,
        "speaker": [f"speaker{clip // 8 % 5}" for clip in range(num_clips)],
        "language": [language] * num_clips,
        "duration_sec": seconds,
        "num_samples": (seconds * 32_000).astype(int),
        "text_bytes": (seconds * 15).astype(int),
        "num_code_frames": np.ceil(seconds * 25).astype(int),
    }
    for member, size in sizes.items():
        columns[f"{member}_offset"] = np.arange(num_clips)
        columns[f"{member}_length"] = size.astype(int)
        columns[f"{member}_crc32"] = np.zeros(num_clips, dtype=int)
    return pa.table(
        {name: pa.array(columns[name], CLIP_SCHEMA.field(name).type) for name in columns}
    ).select(CLIP_SCHEMA.names)


@pytest.fixture(scope="session")
def bare_corpus(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., SourceConfig]:
    """`bare_corpus([clips of shard 0, ...], languages=["en", ...])`: a corpus without its tars."""

    def make(
        sizes: list[int],
        *,
        languages: list[str] | None = None,
        seed: int = 0,
        weight: float | None = None,
    ) -> SourceConfig:
        root: Path = tmp_path_factory.mktemp("bare")
        rng = np.random.default_rng(seed)
        entries = []
        tags = languages or ["en"] * len(sizes)
        for number, (size, language) in enumerate(zip(sizes, tags, strict=True)):
            name = f"{language}/bare-{number:06d}"
            (root / language).mkdir(exist_ok=True)
            table = _shard_table(number, size, language, rng)
            pq.write_table(table, root / f"{name}.parquet")
            seconds = float(np.sum(table["duration_sec"].to_numpy()))
            entries.append(
                ShardEntry(name=name, num_clips=size, seconds=seconds, num_bytes=1 << 40, sha256="")
            )
        write_manifest(Manifest(shards=tuple(entries)), root)
        return SourceConfig(path=str(root), weight=weight)

    return make


@pytest.fixture(scope="session")
def bare_index(bare_corpus: Callable[..., SourceConfig]) -> Callable[..., CorpusIndex]:
    """`bare_index([clips of shard 0, ...], ...)`: the index of a `bare_corpus`."""

    def make(sizes: list[int], **options: Any) -> CorpusIndex:
        return CorpusIndex.open(bare_corpus(sizes, **options))

    return make
