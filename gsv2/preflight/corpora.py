"""Whether this machine can read what a run reads: the first and the last shard of every source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from gsv2.data.config import DataConfig, SourceConfig
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.plan.window import Window
from gsv2.data.stream.batch import BadClip
from gsv2.data.stream.members import MemberIndex
from gsv2.data.stream.reader import read_clip
from gsv2.preflight.report import Finding, attempt
from gsv2.storage.body import public_name
from gsv2.storage.command import PREFIX
from gsv2.storage.storage import Storage
from gsv2.train import open_sources
from gsv2.training.stage import Stage


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
        stage: whose quantizer must have made the codes; None if it could not be built.
    """
    for source in (*config.sources, *config.validation):
        name = f"corpus {public_name(source.path)}"
        yield attempt(name, partial(_read_ends, config, source, members, stage))


def _read_ends(
    config: DataConfig, source: SourceConfig, members: Sequence[str], stage: Stage | None
) -> str:
    """Read and decode the first clip of the first shard, and the last one of the last."""
    storage = Storage(config.remote, allow_pipe=config.allow_pipe)
    index = open_sources([source], storage, stage, public_name(source.path))
    reader = RangeReader(index, members)
    rows = [0, index.num_clips - 1]
    if any(index.shards[-1].tar_of(member).startswith(PREFIX) for member in members):
        rows.pop()  # a command has no offset: all of the tar would have to go by
    for row in rows:
        clip = read_clip(reader, row)
        if isinstance(clip, BadClip):
            raise ValueError(f"clip {clip.key} in {clip.shard}: {clip.reason}")
    return index.summary()
