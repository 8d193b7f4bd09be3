"""Clips and hours of the languages of a corpus."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from gsv2.data.corpus.manifest import ShardEntry


def totals_by_language(shards: Sequence[ShardEntry]) -> dict[str, dict[str, float]]:
    """Return language -> `clips` and `hours` of shards that lie in folders of languages."""
    by_language = groupby(shards, key=lambda shard: shard.name.split("/")[0])
    totals = {}
    for language, group in by_language:
        entries = list(group)
        hours = sum(entry.seconds for entry in entries) / 3600.0
        totals[language] = {"clips": sum(e.num_clips for e in entries), "hours": hours}
    return totals
