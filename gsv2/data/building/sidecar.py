"""Sidecar corpus, built shard by shard: an ended call goes on, several processes share the work."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
import pyarrow as pa

from gsv2.data.building.staging import staged_corpus
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.corpus.manifest import (
    CorpusError,
    Manifest,
    ShardEntry,
    is_complete,
    read_manifest,
    write_manifest,
)
from gsv2.data.corpus.shard_writer import ShardWriter

T = TypeVar("T")

ClipArray = tuple[str, str, np.ndarray]
"""Shard, key, and what the sidecar holds of a clip."""
ClipArrays = Callable[[frozenset[str]], Iterable[ClipArray]]
"""Names of shards that are left out -> arrays of the others, shard after shard in the order of the
corpus, in any order inside a shard; clips that it leaves out get none."""
ShardWriting = Callable[[Path, ShardEntry, dict[str, np.ndarray]], tuple[ShardEntry, Set[int]]]
"""Staging folder, entry of a shard of the corpus and arrays by key -> entry of the shard that was
written, and the numbers of codebooks of its clips."""


class ClipArrayKind(NamedTuple):
    """What a sidecar holds of each clip."""

    noun: str
    """What the arrays are, for messages."""
    schema: pa.Schema
    """Columns of the sidecar's index."""
    members: Callable[[np.ndarray, int], tuple[dict[str, bytes], dict[str, int]]]
    """Array of a clip and its row in the index of the corpus -> members by name, and columns."""


@dataclass(frozen=True, kw_only=True)
class Sidecar:
    """A sidecar corpus that is to be built."""

    out: Path
    """Its folder."""
    shards: Sequence[ShardEntry]
    """Shards of the corpus that it goes beside."""
    write_shard: ShardWriting
    finish: Callable[[Sequence[ShardEntry], Set[int]], Manifest]
    """Makes the manifest of all shards, and of all numbers of codebooks."""
    resume: str | None
    """What the content is made of: an ended call of the same keeps its whole shards, and the next
    one goes on, on however many processes; None = it begins anew."""


class Workers(Protocol):
    """Processes that build one sidecar together, on one file system."""

    @property
    def rank(self) -> int:
        """Number of this process."""

    @property
    def world(self) -> int:
        """Number of processes."""

    def on_main(self, action: Callable[[], T]) -> T:
        """Return on every process what `action` does on the first; so are its errors."""

    def on_all(self, action: Callable[[], T]) -> T:
        """Return what `action` does here, which may take hours; errors are everyone's."""


class OneWorker:
    """A process alone."""

    rank = 0
    world = 1

    def on_main(self, action: Callable[[], T]) -> T:
        """Return what `action` does."""
        return action()

    on_all = on_main


def build_sidecar(
    sidecar: Sidecar, arrays: ClipArrays, *, overwrite: bool, workers: Workers | None = None
) -> Manifest:
    """Build a sidecar corpus, which appears complete in its folder or not at all.

    Args:
        arrays: makes its content; that of one shard is held in memory.
        overwrite: replace a complete sidecar.
        workers: this process among others that make the same call; None = alone.

    Raises:
        CorpusError: a shard that the corpus does not have, or out of order; see `staged_corpus`.
        InUseError: another call writes to the folder.
    """
    workers = workers or OneWorker()
    names = [entry.name for entry in sidecar.shards]
    with ExitStack() as stack:
        staged = staged_corpus(sidecar.out, overwrite=overwrite, resume=sidecar.resume)
        building = workers.on_main(lambda: stack.enter_context(staged))
        done = workers.on_main(lambda: FinishedShards(building).names)
        mine = [name for name in names if name not in done][workers.rank :: workers.world]
        skipped = frozenset(names) - set(mine)
        finished = FinishedShards(building, workers.rank)
        workers.on_all(lambda: _write(sidecar, arrays, skipped, building, finished))

        def end() -> Manifest:
            every = FinishedShards(building)
            every.remove()
            widths = {width for name in names for width in every.widths(name)}
            manifest = sidecar.finish([every.entry(name) for name in names], widths)
            write_manifest(manifest, building)
            stack.close()
            return manifest

        return workers.on_main(end)


def find_sidecar(corpus: Path, out: Path) -> Manifest | None:
    """Return the complete sidecar at `out`, if it was made from the tars that the corpus has."""
    if not is_complete(out):
        return None
    made = read_manifest(out)
    sources = {shard.name: shard.source_sha256 for shard in made.shards}
    tars = {shard.name: shard.sha256 for shard in read_manifest(corpus).shards}
    return made if sources == tars else None


def write_clip_arrays(
    index: CorpusIndex,
    building: Path,
    entry: ShardEntry,
    kind: ClipArrayKind,
    arrays: Mapping[str, np.ndarray],
) -> ShardEntry:
    """Write what a sidecar holds of the clips of a shard, in the order of the corpus.

    Args:
        index: index of the corpus.
        building: staging folder.
        entry: entry of the shard in the corpus.
        kind: what the arrays are.
        arrays: key -> array; clips without one are left out.

    Raises:
        CorpusError: an array of a clip that the shard does not have.
    """
    shard = next(shard for shard in index.shards if shard.name == entry.name)
    seconds = index.read_numbers(shard, ["duration_sec"])["duration_sec"].tolist()
    left, total_sec = set(arrays), 0.0
    with ShardWriter(building, entry.name, kind.schema) as writer:
        for row in range(shard.start, shard.stop):
            key = index.key(row)
            if key in arrays:
                members, columns = kind.members(arrays[key], row)
                writer.add(key, members, **columns)
                total_sec += seconds[row - shard.start]
                left.discard(key)
        if left:
            raise CorpusError(f"{kind.noun} of {min(left)}: no such clip in {entry.name}")
        return writer.finish(total_sec, source_sha256=entry.sha256)


def _write(
    sidecar: Sidecar,
    arrays: ClipArrays,
    skipped: frozenset[str],
    building: Path,
    finished: FinishedShards,
) -> None:
    """Write the shards that are not skipped; one without arrays is empty."""
    groups = groupby(arrays(skipped), key=lambda item: item[0])
    pending = next(groups, None)
    for entry in (entry for entry in sidecar.shards if entry.name not in skipped):
        of_shard: dict[str, np.ndarray] = {}
        if pending is not None and pending[0] == entry.name:
            of_shard = {key: array for _, key, array in pending[1]}
            pending = next(groups, None)
        finished.add(*sidecar.write_shard(building, entry, of_shard))
    if pending is not None:
        name = pending[0]
        raise CorpusError(f"{sidecar.out}: {name} is no shard of the corpus, or comes too late")


class FinishedShards:
    """Entries of the shards that are whole; one line each, written after the shard.

    Args:
        building: staging folder.
        rank: process that adds shards, to a file of its own; all files are read.
    """

    def __init__(self, building: Path, rank: int = 0) -> None:
        self._building = building
        self._file = building / f".finished-{rank}.jsonl"
        self._entries: dict[str, tuple[ShardEntry, set[int]]] = {}
        for file in self._files():
            for line in file.read_text("utf-8").split("\n"):
                try:
                    values, widths = json.loads(line)
                except ValueError:  # what a kill has left of a line
                    continue
                self._entries[values["name"]] = (ShardEntry(**values), set(widths))
        self.names = frozenset(self._entries)
        """Shards that were whole at the start."""

    def add(self, entry: ShardEntry, widths: Set[int]) -> None:
        """Note a shard that is whole, with the numbers of codebooks of its clips."""
        self._entries[entry.name] = (entry, set(widths))
        with self._file.open("a", encoding="utf-8") as file:
            file.write("\n" + json.dumps([asdict(entry), sorted(widths)]))

    def entry(self, name: str) -> ShardEntry:
        """Return the entry of a whole shard."""
        return self._entries[name][0]

    def widths(self, name: str) -> set[int]:
        """Return the numbers of codebooks of its clips."""
        return self._entries[name][1]

    def remove(self) -> None:
        """Remove the files."""
        for file in self._files():
            file.unlink()

    def _files(self) -> list[Path]:
        return sorted(self._building.glob(".finished*.jsonl"))
