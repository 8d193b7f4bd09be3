"""Clips of a corpus in batches of like size, shard after shard, for what is made of all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from gsv2.data.corpus.decode import Clip
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.stream.batch import BadClip
from gsv2.data.stream.reader import MappedReader, read_clip
from gsv2.training.distributed.patient_ranks import PatientRanks

Progress = Callable[[int, int], None]
"""Called with (clips done, clips in all)."""


@dataclass(frozen=True, kw_only=True)
class SharedWork:
    """Who works on the clips of a corpus, and who is told how far it is."""

    ranks: PatientRanks | None = None
    """This process among others that make the same call and share the shards; None = alone."""
    progress: Progress | None = None
    """Called as clips are done."""


ALONE = SharedWork()
"""One process that tells nobody."""
_WINDOW_CLIPS = 1024
"""Clips that are sorted by size together; bounds the memory."""


class BatchLimit(NamedTuple):
    """Most that a batch holds, padding included; a clip above it stands alone."""

    column: str
    """Numeric column of the index that is the size of a clip; clips without a value are left
    out."""
    most: int


def clip_batches(
    index: CorpusIndex,
    members: Sequence[str],
    limit: BatchLimit,
    *,
    skip: frozenset[str] = frozenset(),
    share: float = 1.0,
    progress: Progress | None = None,
) -> Iterator[list[Clip | BadClip]]:
    """Yield batches of clips, which never cross a shard.

    Args:
        index: index of a local corpus.
        members: members to read.
        limit: most that a batch holds.
        skip: names of shards that are left out, and count as done.
        share: probability of each clip; the same ones are drawn of a shard whatever is skipped.
        progress: called as clips are done.
    """
    reader = MappedReader(index, tuple(members))
    done = sum(s.stop - s.start for s in index.shards if s.name in skip)
    for shard in (s for s in index.shards if s.name not in skip):
        sizes = index.read_numbers(shard, [limit.column])[limit.column]
        if share < 1:
            drawn = np.random.default_rng(shard.start).random(len(sizes)) < share
            sizes = np.where(drawn, sizes, -1)
        for start in range(0, len(sizes), _WINDOW_CLIPS):
            window = sizes[start : start + _WINDOW_CLIPS]
            order = np.argsort(window, kind="stable")
            done += int((window < 0).sum())
            for batch in _cut(order[window[order] >= 0], window, limit.most):
                yield [read_clip(reader, shard.start + start + place) for place in batch]
                done += len(batch)
                if progress:
                    progress(done, index.num_clips)


def _cut(order: np.ndarray, sizes: np.ndarray, max_size: int) -> Iterator[list[int]]:
    """Cut places of rising size into batches."""
    batch: list[int] = []
    for place in order.tolist():
        if batch and (len(batch) + 1) * sizes[place] > max_size:
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch
