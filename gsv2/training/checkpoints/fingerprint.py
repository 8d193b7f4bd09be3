"""Fingerprint of what a run's stream depends on, detailed enough to name a difference.

It comes from corpus.json and the config alone; no audio and no index file is read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from gsv2.data.config import DataConfig
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.corpus.shard import Shard

_DIGITS = 16
NOT_OF_THE_PLAN = frozenset(
    {
        "sources",  # their shards and weights are looked at one by one; where they lie is free
        "validation",
        "lanes",  # accepted by a name of its own
        "micro_batches_per_step",  # the order of micro-batches does not depend on it
        "workers",
        "prefetch",
        "max_bad_fraction",
        "allow_pipe",
        "remote",
    }
)
"""Fields of the `data` section that do not change which clips form which micro-batch."""

_LATER = {"tokens_per_text_byte": 1}
"""Fields that older checkpoints do not name: how those were planned."""

_WHOLE = ["all", 0.0]
"""Part of a source in older checkpoints, which do not name it."""

Fingerprint = Mapping[str, Any]
"""Plain values for JSON: `data`, `members`, `sources`."""


@dataclass(frozen=True, kw_only=True)
class RunIdentity:
    """What a checkpoint and the run that goes on from it must share, beside their networks."""

    seed: int
    lanes: int
    dataset: Fingerprint | None = None
    """None = streams that nobody can describe; two of them count as equal."""


def take_fingerprint(
    index: CorpusIndex, config: DataConfig, members: Sequence[str]
) -> dict[str, Any]:
    """Return the fingerprint of a stream.

    Args:
        index: index of all sources.
        members: what the stage reads of a clip.
    """
    data = {key: value for key, value in asdict(config).items() if key not in NOT_OF_THE_PLAN}
    sources: list[dict[str, Any]] = [
        {"weight": source.weight, "part": [source.part, source.held_out_share], "shards": {}}
        for source in config.sources
    ]  # also those without a shard
    for number, shards in groupby(index.shards, key=lambda shard: shard.source):
        sources[number]["shards"] = {shard.name: _digest(shard) for shard in shards}
    return {"data": data, "members": sorted(members), "sources": sources}


def fingerprint_differences(saved: Fingerprint, wanted: Fingerprint) -> Iterator[str]:
    """Yield a sentence for each difference between the dataset of a checkpoint and of a run."""
    saved, wanted = (json.loads(json.dumps(dict(one))) for one in (saved, wanted))
    data, own = ({**_LATER, **one["data"]} for one in (saved, wanted))
    for key in sorted(data.keys() | own.keys()):
        if data.get(key) != own.get(key):
            yield f"data.{key} is {data.get(key)!r} there, but {own.get(key)!r} in this run"
    if saved["members"] != wanted["members"]:
        yield f"members are {saved['members']} there, but {wanted['members']} in this run"
    if len(saved["sources"]) != len(wanted["sources"]):
        there, here = len(saved["sources"]), len(wanted["sources"])
        yield f"data.sources has {there} entries there, but {here} in this run"
    pairs = zip(saved["sources"], wanted["sources"], strict=False)
    for number, (there, here) in enumerate(pairs):
        yield from _source_differences(f"data.sources[{number}]", there, here)


def _source_differences(
    where: str, there: Mapping[str, Any], here: Mapping[str, Any]
) -> Iterator[str]:
    if there["weight"] != here["weight"]:
        yield (
            f"the weight of {where} is {there['weight']} there, but {here['weight']} in this run"
        )
    parts = [one.get("part", _WHOLE) for one in (there, here)]
    if parts[0] != parts[1]:
        yield f"the part of {where} is {parts[0]} there, but {parts[1]} in this run"
    old, new = there["shards"], here["shards"]
    yield from (f"shard {name} of {where} is gone" for name in old if name not in new)
    yield from (f"shard {name} of {where} is new" for name in new if name not in old)
    changed = [name for name in old if name in new and old[name] != new[name]]
    yield from (f"shard {name} of {where} was changed" for name in changed)
    if old.keys() == new.keys() and list(old) != list(new):
        yield f"the shards of {where} are in another order"


def _digest(shard: Shard) -> str:
    words: tuple[object, ...]
    words = (shard.language, shard.num_clips, shard.sha256, shard.codes_sha256)
    if shard.texts is not None:
        words = (*words, shard.texts.sha256)
    return hashlib.blake2b(repr(words).encode()).hexdigest()[:_DIGITS]
