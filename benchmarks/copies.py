"""A corpus of a million clips from the tars of a few thousand: hard links, own indexes.

Every clip has its own row and key; its bytes lie in a tar that others share, so that the disk
holds them once. The page cache does too: what is measured on it must not be reading.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.corpora import write_token_corpus
from gsv2.data.config import SourceConfig
from gsv2.data.corpus.manifest import ShardEntry, read_manifest, write_manifest


def write_million(root: Path, num_clips: int, *, template_clips: int = 5000) -> SourceConfig:
    """Write a corpus with sidecar codes of at least `num_clips` clips, as one source.

    Args:
        root: empty folder.
        num_clips: rows of the index.
        template_clips: clips that have bytes of their own.
    """
    corpus, codes = write_token_corpus(root / "template", template_clips)
    num_copies = -(-num_clips // template_clips)
    _copy(corpus, root / "corpus", num_copies)
    _copy(codes, root / "codes", num_copies)
    return SourceConfig(path=str(root / "corpus"), codes=str(root / "codes"))


def _copy(template: Path, target: Path, num_copies: int) -> None:
    """Write a corpus that holds all shards of another `num_copies` times."""
    manifest = read_manifest(template)
    tables = {
        entry.name: pq.read_table(template / f"{entry.name}.parquet") for entry in manifest.shards
    }
    shards: list[ShardEntry] = []
    for copy in range(num_copies):
        for entry in manifest.shards:
            name = f"{entry.name}-{copy:04d}"
            path = target / f"{name}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            table = tables[entry.name]
            keys = pc.binary_join_element_wise(table["key"], f"{copy:04d}", "-")
            pq.write_table(table.set_column(0, table.field(0), keys), path, compression="zstd")
            os.link(template / f"{entry.name}.tar", path.with_suffix(".tar"))
            shards.append(replace(entry, name=name))
    write_manifest(replace(manifest, shards=tuple(shards)), target)
