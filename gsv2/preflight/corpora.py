"""Corpora on trial: whether this machine can read what a run reads, from start to end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial

from gsv2.data.config import DataConfig, SourceConfig
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.plan.plan import validation_plan
from gsv2.data.plan.window import Window
from gsv2.data.stream.batch import BadClip
from gsv2.data.stream.loader import read_batch
from gsv2.data.stream.members import MemberIndex
from gsv2.data.stream.reader import make_reader, read_clip
from gsv2.preflight.report import Finding, attempt
from gsv2.stages.sources import describe_unaligned, open_sources
from gsv2.storage.body import public_name
from gsv2.storage.command import PREFIX
from gsv2.storage.storage import Storage
from gsv2.training.stage import Stage

_TRIAL_MB = 1.0
"""Window of the micro-batch that is read on trial."""


class RangeReader:
    """Read any clip by the index's offsets, wherever its tars are: see `ClipReader`."""

    def __init__(self, index: CorpusIndex, members: Sequence[str]) -> None:
        self.places = MemberIndex(index, members)
        self._storage = index.storage

    def read(self, row: int, window: Window | None = None) -> dict[str, memoryview | bytes]:
        """See `ClipReader.read`."""
        members: dict[str, memoryview | bytes] = {}
        for place in self.places.locate(row):
            with self._storage.open(place.tar, place.offset) as stream:
                content = stream.read(place.length)
            place.check(content)
            members[place.member] = content
        return members

    def close(self) -> None:
        """See `ClipReader.close`."""


def check_corpora(
    config: DataConfig, members: Sequence[str], stage: Stage | None = None
) -> Iterator[Finding]:
    """Yield a finding for each source, those of validation too.

    Args:
        config: the `data` section.
        members: what the stage reads of a clip.
        stage: stage whose quantizer must have made the codes; None if it could not be built.
    """
    for source in (*config.sources, *config.validation):
        name = f"corpus {public_name(source.path)}"
        yield attempt(name, partial(_try_source, config, source, members, stage))


def _try_source(
    config: DataConfig, source: SourceConfig, members: Sequence[str], stage: Stage | None
) -> str:
    """Open the index, and read the clips at both ends and a micro-batch as the run will."""
    storage = Storage(config.remote, allow_pipe=config.allow_pipe)
    index = open_sources([source], storage, stage, public_name(source.path))
    index.check_tars(members)
    for clip in (*_read_ends(index, members), *_read_micro_batch(index, members, config, source)):
        raise ValueError(f"clip {clip.key} in {clip.shard}: {clip.reason}")
    return "; ".join([index.summary(), *describe_unaligned(index, [source])])


def _read_ends(index: CorpusIndex, members: Sequence[str]) -> Iterator[BadClip]:
    """Yield what is bad of the first clip of the first shard, and the last one of the last."""
    rows = [0, index.num_clips - 1]
    if any(index.shards[-1].tar_of(member).startswith(PREFIX) for member in members):
        rows.pop()  # a command has no offset: all of the tar would have to go by
    reader = RangeReader(index, members)
    for row in rows:
        clip = read_clip(reader, row)
        if isinstance(clip, BadClip):
            yield clip


def _read_micro_batch(
    index: CorpusIndex, members: Sequence[str], config: DataConfig, source: SourceConfig
) -> Iterator[BadClip]:
    """Yield what is bad of the first micro-batch of a source alone."""
    alone = replace(config, sources=[source], window_mb=_TRIAL_MB)
    plan = validation_plan(index, alone, 0, members)
    with closing(make_reader(index, members, alone)) as reader:
        yield from read_batch(reader, plan, plan.micro_batch(0)).bad
