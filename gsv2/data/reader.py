"""Bytes of clips from local tars: memory-mapped, found by the index, checked by their CRC-32."""

from __future__ import annotations

import mmap
import zlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from gsv2.data.batch import BadClip
from gsv2.data.decode import Clip, ClipError, decode_clip
from gsv2.data.index import CorpusIndex, Shard
from gsv2.data.tars import SIZE_LIMITS

_MAX_OPEN_TARS = 64


class ClipReader(Protocol):
    """Whatever gets the bytes of a clip."""

    def read(self, row: int) -> dict[str, memoryview]:
        """Return the members of a clip, undecoded.

        Raises:
            ClipError: a member is missing or damaged.
        """


class MappedReader:
    """Read any clip at any time from local tars.

    Where codes lie in sidecar tars and no audio is asked for, the JSON comes from there too.

    Args:
        index: of the corpora.
        members: any of `audio`, `codes`; the JSON is always read.
    """

    def __init__(self, index: CorpusIndex, members: Sequence[str]) -> None:
        self._members = tuple(members)
        self._maps: OrderedDict[Path, mmap.mmap] = OrderedDict()
        read = ("json", "codes_json", *members)
        columns = [f"{m}_{part}" for m in read for part in ("offset", "length", "crc32")]
        index.load(["key", *columns])
        self._columns = {name: index.numbers(name) for name in columns}
        self._index = index

    def read(self, row: int) -> dict[str, memoryview]:
        """See `ClipReader.read`."""
        shard = self._index.shard_of(row)
        beside = self._members == ("codes",) and self._columns["codes_json_offset"][row] >= 0
        return {
            "json": self._read_member(shard, "codes_json" if beside else "json", row),
            **{member: self._read_member(shard, member, row) for member in self._members},
        }

    def _read_member(self, shard: Shard, member: str, row: int) -> memoryview:
        offset = int(self._columns[f"{member}_offset"][row])
        length = int(self._columns[f"{member}_length"][row])
        if offset < 0:
            raise ClipError(f"{member} is not in the tar", member)
        if length > SIZE_LIMITS[member]:
            raise ClipError(f"{member} is above the size limit", member)
        try:
            tar = self._map(shard.tar_of(member))
        except (OSError, ValueError) as error:  # ValueError: an empty file cannot be mapped
            raise ClipError("tar cannot be opened", member) from error
        content = memoryview(tar)[offset : offset + length]
        if len(content) < length:
            raise ClipError("tar ends before the clip", member)
        if zlib.crc32(content) != int(self._columns[f"{member}_crc32"][row]):
            raise ClipError(f"{member} differs from its checksum", member)
        return content

    def _map(self, path: Path) -> mmap.mmap:
        if path in self._maps:
            self._maps.move_to_end(path)
            return self._maps[path]
        with path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._maps[path] = mapped
        if len(self._maps) > _MAX_OPEN_TARS:
            self._maps.popitem(last=False)  # closed when the last view of it is gone
        return mapped


def read_clip(reader: ClipReader, index: CorpusIndex, row: int) -> Clip | BadClip:
    """Read and decode one clip.

    Returns:
        The clip, or its key, shard and the reason why it cannot be read.
    """
    key, shard = index.key(row), index.shard_of(row)
    try:
        return decode_clip(row, key, shard.name, reader.read(row))
    except ClipError as error:
        return BadClip(key=key, shard=str(shard.tar_of(error.member)), reason=str(error))


def read_clips(index: CorpusIndex, members: Sequence[str]) -> Iterator[Clip | BadClip]:
    """Read all clips of an index in order, e.g. to make codes of them.

    Args:
        index: of the corpora.
        members: any of `audio`, `codes`.
    """
    reader = MappedReader(index, members)
    for row in range(index.num_clips):
        yield read_clip(reader, index, row)
