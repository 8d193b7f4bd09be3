"""Places of members in a tar as its index says, and whether links may share a place."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import BinaryIO, NamedTuple

import pyarrow as pa

from gsv2.data.corpus.format import SIZE_LIMITS
from gsv2.data.indexing.clip import split_name
from gsv2.data.indexing.scattered import link_targets
from gsv2.data.verify.findings import Findings


class Place(NamedTuple):
    """What the index says of a member at an offset."""

    row: int
    member: str
    offset: int
    length: int
    crc32: int

    def read(self, file: BinaryIO) -> bytes:
        """Return the member, or what there is of it; b"" if it is larger than any may be."""
        if self.offset > file.seek(0, os.SEEK_END) or self.length > SIZE_LIMITS[self.member]:
            return b""
        file.seek(self.offset)
        return file.read(self.length)


class IndexedPlaces:
    """The members that an index lists, by offset and by clip.

    Args:
        table: the index; None = it cannot be read.
        kind: kind of the corpus: audio or codes.
        may_share: whether members may share a place, as links do in tars that others made.
        findings: gets two different members at one place, and places that cannot be.
    """

    def __init__(
        self, table: pa.Table | None, kind: str, findings: Findings, *, may_share: bool
    ) -> None:
        self._keys: list[str] = [] if table is None else table["key"].to_pylist()
        self._findings = findings
        self._may_share = may_share
        self._by_offset: dict[int, list[Place]] = {}
        self._by_row: dict[int, list[Place]] = {}
        if table is None:
            return
        members = (
            ("audio", "json", "codes") if kind == "audio" else ("codes", "codes_json", "align")
        )
        for member in members:
            names = [f"{member}_{part}" for part in ("offset", "length", "crc32")]
            if names[0] not in table.column_names:  # codes that nobody has aligned
                continue
            columns = [table[name].to_pylist() for name in names]
            for row, numbers in enumerate(zip(*columns, strict=True)):
                self._add(row, member, *numbers)

    def take(self, offset: int) -> list[Place]:
        """Return what lies at an offset, once."""
        return self._by_offset.pop(offset, [])

    def left(self) -> list[Place]:
        """Return what was not taken, by offset."""
        return [place for offset in sorted(self._by_offset) for place in self._by_offset[offset]]

    def clear(self) -> None:
        """Take all that is left."""
        self._by_offset.clear()

    def of_row(self, row: int) -> list[Place]:
        """Return all members of a clip."""
        return self._by_row.get(row, [])

    def _add(
        self, row: int, member: str, offset: int | None, length: int | None, crc32: int | None
    ) -> None:
        if offset is None and length is None and crc32 is None:
            return  # the clip has no such member
        if offset is None or length is None or crc32 is None or min(offset, length, crc32) < 0:
            example = f"{self._keys[row]}: {member} at {offset}, {length} bytes, CRC {crc32}"
            self._findings.add("index row with an impossible place", example)
            return
        place = Place(row, member, offset, length, crc32)
        others = self._by_offset.setdefault(offset, [])
        is_same = all(other[3:] == place[3:] for other in others)
        if others and not (self._may_share and is_same):
            self._findings.add("two members at one place", self._keys[row])
            return
        others.append(place)
        self._by_row.setdefault(row, []).append(place)


def keys_of_links(links: Mapping[str, str]) -> dict[str, set[str]]:
    """Return path of a member -> keys of the links that lead to it.

    Args:
        links: see `TarWalk.links`.
    """
    found: dict[str, set[str]] = {}
    for name, path in link_targets(links).items():
        if (place := split_name(name)) is not None:
            found.setdefault(path, set()).add(place[0])
    return found
