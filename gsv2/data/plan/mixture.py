"""Mixtures: how much of what is read comes from which part of the data.

Without weights and temperature all sources are one part, read as much as there is. Else
every source (weights) and every language (temperature) is a part with its own epochs.

Parts are interleaved by start-time fair queueing (Goyal et al. 1996): a part's clock is
the audio taken from it divided by its share, and the clip whose part has the lowest clock
comes next. So every window has its shares to within a clip.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gsv2.data.config import DataConfig
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.corpus.shard import Shard


@dataclass(frozen=True, kw_only=True)
class MixturePart:
    """A part of the data that is read evenly."""

    number: int
    name: str
    shards: tuple[Shard, ...]
    share: float
    """Share of the audio read; the shares of all parts add up to 1."""


def make_mixture(index: CorpusIndex, config: DataConfig) -> tuple[MixturePart, ...]:
    """Divide the shards of an index into parts, sources before languages.

    A language is that of whole shards; shards that mix several are one more. Its share of its
    source (of everything without weights) is proportional to
    hours ** (1 / `language_temperature`).
    """
    weighted = any(source.weight is not None for source in config.sources)
    tempered = config.language_temperature > 1.0
    groups: dict[tuple[int, str], list[Shard]] = {}
    for shard in index.shards:
        place = (shard.source if weighted else -1, shard.language if tempered else "")
        groups.setdefault(place, []).append(shard)
    power = 1.0 / config.language_temperature
    sizes = {place: _seconds(shards) ** power for place, shards in sorted(groups.items())}
    weights = [source.weight or 0.0 for source in config.sources] if weighted else [1.0]
    parts = []
    for number, (place, size) in enumerate(sizes.items()):
        source, language = place
        of_source = sum(other for (s, _), other in sizes.items() if s == source)
        weight = weights[source] / sum(weights)
        path = config.sources[source].path if weighted else "all sources"
        parts.append(
            MixturePart(
                number=number,
                name=f"{path}, {language}" if language else path,
                shards=tuple(groups[place]),
                share=weight * size / of_source,
            )
        )
    return tuple(parts)


def _seconds(shards: Sequence[Shard]) -> float:
    return sum(shard.seconds for shard in shards)
