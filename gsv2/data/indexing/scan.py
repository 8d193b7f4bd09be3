"""Scan of one tar that others made -> its Parquet index, in one pass; the tar is only read.

The index file is all that a scan leaves: its metadata hold what was rejected and which tar it is
of, so that an unchanged tar is not scanned again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from gsv2.data.corpus.decode import ClipError
from gsv2.data.corpus.faults import machine_faults
from gsv2.data.corpus.index_columns import ARCHIVE_SCHEMA
from gsv2.data.corpus.manifest import ShardEntry
from gsv2.data.indexing.clip import ArchiveClip, IndexedClip, group_clips, index_clip
from gsv2.data.indexing.format import ArchiveFormat
from gsv2.data.indexing.scattered import ScatteredMembers
from gsv2.data.indexing.tar_walk import TarDamageError, TarMember, TarWalk
from gsv2.files import atomic_file

SCAN_METADATA = b"gsv2_scan"
"""Name of what a scan leaves in the metadata of the index file."""

_VERSION = 3  # a change here makes all tars scanned again


@dataclass(frozen=True, kw_only=True)
class TarScan:
    """What a scan found beside the index rows."""

    sha256: str
    """SHA-256 of the tar."""
    num_bytes: int
    """Size of the tar."""
    mtime_ns: int
    """When the tar was last changed."""
    form: str
    """Digest of the `ArchiveFormat`."""
    seconds: float
    """Duration of its clips."""
    damage: str
    """Reason and byte where the tar is damaged; "" = it is whole."""
    rejected: Sequence[Sequence[str]]
    """(key, reason) of the clips left out."""

    def entry(self, name: str, num_clips: int) -> ShardEntry:
        """Return the line of corpus.json."""
        return ShardEntry(
            name=name,
            num_clips=num_clips,
            seconds=self.seconds,
            num_bytes=self.num_bytes,
            sha256=self.sha256,
        )


def scan_tar(tar: Path, name: str, index: Path, form: ArchiveFormat) -> None:
    """Write the index of a tar; the file appears complete or not at all.

    A damaged tar gets an index of the clips before the damage; `TarScan.damage` tells.

    Args:
        tar: tar to read; never written.
        name: name of the shard: path below the corpus, without suffix.
        index: file to write.
        form: places of what is needed in a clip.

    Raises:
        OSError: the tar cannot be read or the index cannot be written.
    """
    columns: dict[str, list[Any]] = {column: [] for column in ARCHIVE_SCHEMA.names}
    rejected: list[tuple[str, str]] = []
    mtime_ns = tar.stat().st_mtime_ns  # before: a tar changed while it is read is scanned again
    with machine_faults(tar), tar.open("rb") as file:
        walk = TarWalk(file)
        members = _Readable(walk)
        clips = _usable_clips(members, file, name, form, rejected)
        for row in _number_blocks(clips, form.block_clips):
            for column, values in columns.items():
                values.append(row.get(column))
    scan = TarScan(
        sha256=members.sha256,
        num_bytes=walk.num_bytes,
        mtime_ns=mtime_ns,
        form=format_digest(form),
        seconds=sum(columns["duration_sec"]),
        damage=members.damage,
        rejected=rejected,
    )
    _write_index(columns, scan, index)


def read_scan(index: Path) -> TarScan | None:
    """Return what a scan left in an index file; None if another tool wrote it, or damage."""
    try:
        schema = pq.read_schema(index)
        if not schema.equals(ARCHIVE_SCHEMA):  # metadata are not compared
            return None
        metadata = schema.metadata or {}
        return TarScan(**json.loads(metadata[SCAN_METADATA]))
    except (OSError, KeyError, TypeError, ValueError):  # ArrowInvalid is a ValueError
        return None


def is_current(tar: Path, index: Path, form: ArchiveFormat) -> bool:
    """Tell whether an index is of this tar, unchanged, and of this format."""
    scan, status = read_scan(index), tar.stat()
    return scan is not None and (scan.num_bytes, scan.mtime_ns, scan.form) == (
        status.st_size,
        status.st_mtime_ns,
        format_digest(form),
    )


def format_digest(form: ArchiveFormat) -> str:
    """Return a hash of all that decides what a scan writes."""
    return hashlib.sha256(json.dumps([_VERSION, asdict(form)]).encode()).hexdigest()


class _Readable:
    """The members of a tar up to its damage."""

    def __init__(self, walk: TarWalk) -> None:
        self.damage = ""
        self.sha256 = ""
        """SHA-256 of the tar, once it was walked through."""
        self._walk = walk

    @property
    def links(self) -> dict[str, str]:
        """See `TarWalk.links`."""
        return self._walk.links

    @property
    def cut(self) -> bool:
        """Whether members of the last clip may be missing."""
        return bool(self.damage) and not self._walk.ended

    def __iter__(self) -> Iterator[TarMember]:
        try:
            yield from self._walk
        except TarDamageError as error:
            self.damage = str(error)
        self.sha256 = self._walk.finish()


def _usable_clips(
    members: _Readable,
    file: BinaryIO,
    name: str,
    form: ArchiveFormat,
    rejected: list[tuple[str, str]],
) -> list[IndexedClip]:
    """Return the clips that can be used; the others go to `rejected`."""
    scattered = ScatteredMembers(form.suffixes)
    found: dict[str, IndexedClip | ClipError] = {}
    for clip in group_clips(members, form.suffixes):
        if not scattered.meets_again(clip):
            found[clip.key] = _index(clip, name, form, cut=members.cut)
        scattered.note(clip)
    scattered.follow(members.links)
    for key in sorted(scattered.keys):
        try:
            found[key] = _index(scattered.read(key, file), name, form, cut=members.cut)
        except ClipError as error:
            found[key] = error
    for key, result in found.items():
        if isinstance(result, ClipError):
            rejected.append((key.encode("utf-8", "backslashreplace").decode(), str(result)))
    return [result for result in found.values() if not isinstance(result, ClipError)]


def _index(
    clip: ArchiveClip, name: str, form: ArchiveFormat, *, cut: bool
) -> IndexedClip | ClipError:
    if cut:
        return ClipError("cut off by the damage of its tar", "audio")
    try:
        return index_clip(clip, name, form)
    except ClipError as error:
        return error


def _number_blocks(clips: Iterable[IndexedClip], block_clips: int) -> Iterator[dict[str, Any]]:
    """Yield the rows with the number of their block: clips of one voice that follow each other."""
    block, length = -1, 0
    last: tuple[str, ...] = ()
    for row, voice in clips:
        if not voice or voice != last or length == block_clips:
            block, length, last = block + 1, 0, voice
        length += 1
        yield {**row, "block": block}


def _write_index(columns: dict[str, list[Any]], scan: TarScan, index: Path) -> None:
    table = pa.Table.from_pydict(columns, schema=ARCHIVE_SCHEMA)
    described = json.dumps(asdict(scan), ensure_ascii=False).encode()
    table = table.replace_schema_metadata(
        {**(table.schema.metadata or {}), SCAN_METADATA: described}
    )
    index.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(index, pa.ArrowException, writer=f".{os.getpid()}") as aside:
        pq.write_table(table, aside, compression="zstd")
