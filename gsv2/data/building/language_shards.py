"""Shards of the clips of one language: their blocks in shuffled order, cut at a size."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from gsv2.data.building.encode import ShardConfig
from gsv2.data.building.shard_fingerprints import write_fingerprints
from gsv2.data.building.split import PARTS, Part
from gsv2.data.building.spool import ClipSpool, SpooledClip
from gsv2.data.building.statistics import CorpusStatistics, read_statistics
from gsv2.data.building.written_shards import WrittenShards
from gsv2.data.corpus.index_columns import AUDIO_SCHEMA
from gsv2.data.corpus.manifest import ShardEntry
from gsv2.data.corpus.shard_writer import ShardWriter

_MIB = 1 << 20


class CorpusPart(NamedTuple):
    """Part of a corpus whose shards are written."""

    part: Part
    first: Mapping[str, int] = MappingProxyType({})
    """Language -> number of its first shard, where it is not 0."""


def write_languages(
    spool: ClipSpool,
    root: Path,
    of: CorpusPart,
    config: ShardConfig,
    written: WrittenShards | None = None,
) -> Iterator[ShardEntry]:
    """Write the shards of a part, language by language.

    Args:
        spool: accepted clips.
        root: folder of the part.
        of: which of the clips, and the numbers of their shards.
        config: how to cut it.
        written: shards that are whole already, and that are noted; None: none is.
    """
    statistics = read_statistics(root) or CorpusStatistics()
    for language in spool.languages:
        rng = np.random.default_rng([config.seed, *language.encode()])
        blocks = spool.blocks(language, config.block_clips, rng, PARTS.index(of.part))
        clips = _LanguageClips(blocks, statistics)
        number = of.first.get(language, 0)
        while clips.are_left:
            name = f"{language}/{config.name}-{number:06d}"
            entry = None if written is None else written.find(root, name)
            if entry is not None:
                clips.pass_over(entry.num_clips)
            else:
                entry, taken = clips.write_shard(root, name, config)
                if written is not None:
                    written.add(root, entry, taken)
            yield entry
            number += 1
    statistics.write(root)


class _LanguageClips:
    """Clips of one language, cut into shards and counted."""

    def __init__(self, blocks: Iterator[list[SpooledClip]], statistics: CorpusStatistics) -> None:
        self._blocks = blocks
        self._statistics = statistics
        self._following = next(blocks, None)

    @property
    def are_left(self) -> bool:
        """Whether there are more."""
        return self._following is not None

    def pass_over(self, num_clips: int) -> None:
        """Count the clips of a whole shard."""
        while num_clips > 0:
            for clip in self._take():
                row, described, _, measured, _ = json.loads(clip.head)
                self._statistics.add(row, json.loads(described)["text"], measured)
                num_clips -= 1

    def write_shard(
        self, root: Path, name: str, config: ShardConfig
    ) -> tuple[ShardEntry, list[SpooledClip]]:
        """Write the next shard, and return its entry and its clips."""
        seconds, block_number = 0.0, 0
        licences: defaultdict[str, float] = defaultdict(float)
        taken: list[SpooledClip] = []
        fingerprints: list[str | None] = []
        with ShardWriter(root, name, AUDIO_SCHEMA) as shard:
            while self.are_left and shard.num_bytes < config.shard_mb * _MIB:
                for clip in self._take():
                    row, described, _, measured, found = json.loads(clip.head)
                    members = {"audio": clip.audio.read(), "json": described.encode()}
                    shard.add(members=members, block=block_number, **row)
                    said = json.loads(described)
                    seconds += row["duration_sec"]
                    licences[said["licence"]] += row["duration_sec"]
                    self._statistics.add(row, said["text"], measured)
                    taken.append(SpooledClip(b"", clip.audio))
                    fingerprints.append(found)
                block_number += 1
            write_fingerprints(root, name, fingerprints)
            return shard.finish(seconds, licences=licences), taken

    def _take(self) -> list[SpooledClip]:
        assert self._following is not None, "callers ask whether clips are left"
        block, self._following = self._following, next(self._blocks, None)
        return block
