"""Tar walk, one pass over a tar: every file with its place, and where the tar is damaged.

Python's `tarfile` parses each header, but not the file: it takes a tar that was cut between two
members for a whole one, and does not tell at which byte it is damaged. ustar, GNU long names and
PAX headers are followed (POSIX.1-2017, pax, "Extended Header").
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import tarfile
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple

from gsv2.data.corpus.format import SIZE_LIMITS

BLOCK_BYTES = 512
"""Tar headers and contents fill blocks of this many bytes."""

_CHUNK = 1 << 20
_MAX_NAME_BYTES = 1 << 20  # of a GNU or PAX header, which is held in memory
_PAX_TYPES = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE)
_GZIP = b"\x1f\x8b"


class TarDamageError(ValueError):
    """A tar that cannot be read to its end.

    Args:
        reason: what is wrong.
        byte: place of it, from the start of the tar.
    """

    def __init__(self, reason: str, byte: int) -> None:
        super().__init__(f"{reason} at byte {byte}")
        self.reason = reason
        self.byte = byte


class TarMember(NamedTuple):
    """One file in a tar."""

    name: str
    offset: int
    """First byte of the content."""
    length: int
    """Bytes of the content."""
    content: bytes | None
    """None when it is longer than the walk's limit."""


class TarWalk:
    """Iterate over the files of a tar, once; folders are passed over, links kept in `links`.

    Args:
        file: open binary file at its start; need not be seekable.
        limit: longest content that is held in memory, in bytes.
        wanted: tells by its name whether a member's content is needed; others are passed over by
            seeking, so that `finish` has no meaning. None = all, and nothing is sought.
    """

    def __init__(
        self,
        file: BinaryIO,
        limit: int = max(SIZE_LIMITS.values()),
        wanted: Callable[[str], bool] | None = None,
    ) -> None:
        self.num_bytes = 0
        """Bytes read so far."""
        self.ended = False
        """Whether the mark that ends the archive was met."""
        self.links: dict[str, str] = {}
        """Name of a link -> name of the member that it stands for."""
        self._file = file
        self._limit = limit
        self._wanted = wanted
        self._digest = hashlib.sha256()

    def finish(self) -> str:
        """Read what is left and return the SHA-256 of the whole file."""
        while self._read(_CHUNK):
            pass
        return self._digest.hexdigest()

    def __iter__(self) -> Iterator[TarMember]:
        """Yield the members in their order.

        Raises:
            TarDamageError: after the last good member.
        """
        named: dict[str, str] = {}  # what extended headers say of the next member
        while (header := self._header(named)) is not None:
            if header.type == tarfile.GNUTYPE_LONGNAME:
                named["path"] = _text(self._small_content(header).partition(b"\0")[0])
            elif header.type in _PAX_TYPES:
                named |= _pax_records(self._small_content(header), self.num_bytes)
            elif header.type == tarfile.GNUTYPE_LONGLINK:
                named["linkpath"] = _text(self._small_content(header).partition(b"\0")[0])
            elif header.type == tarfile.XGLTYPE:
                self._small_content(header)
            else:
                yield from self._member(header, named)
                named = {}

    def _header(self, named: dict[str, str]) -> tarfile.TarInfo | None:
        """Read the next header; None at the mark that ends the archive."""
        start = self.num_bytes
        block = self._read(BLOCK_BYTES)
        if len(block) < BLOCK_BYTES:
            empty = "is empty" if start == 0 else "ends without its end mark"
            raise TarDamageError("ends inside a header" if block else empty, start)
        if not block.strip(b"\0"):
            if named:
                raise TarDamageError("ends after an extended header", start)
            self.ended = True
            self._check_rest()
            return None
        try:
            header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            what = "is compressed" if start == 0 and block.startswith(_GZIP) else str(error)
            raise TarDamageError(f"has no tar header ({what})", start) from error
        if header.size < 0 or header.type == tarfile.GNUTYPE_SPARSE:
            raise TarDamageError("has a header of a sparse or negative size", start)
        return header

    def _member(self, header: tarfile.TarInfo, named: dict[str, str]) -> Iterator[TarMember]:
        if any(name.startswith("GNU.sparse") for name in named):
            raise TarDamageError("has a sparse member", self.num_bytes)
        if header.issym() or header.islnk():
            name = named.get("path", header.name)
            target = named.get("linkpath", header.linkname)
            folder = posixpath.dirname(name) if header.issym() else ""
            self.links[name] = posixpath.normpath(posixpath.join(folder, target))
        if not header.isreg() and header.type in tarfile.SUPPORTED_TYPES:
            return
        offset, length = self.num_bytes, int(named.get("size", header.size))
        name = named.get("path", header.name)
        if self._wanted is None or self._wanted(name):
            content = self._content(length)
        else:
            content = None
            self._pass_over(length)
        if header.isreg():
            yield TarMember(name, offset, length, content)
        self._skip_padding(length)

    def _content(self, length: int) -> bytes | None:
        """Read a member's content; None if it is above the limit."""
        start = self.num_bytes
        content = self._read(length) if length <= self._limit else None
        while content is None and self.num_bytes < start + length:
            if not self._read(min(_CHUNK, start + length - self.num_bytes)):
                break
        if self.num_bytes < start + length:
            raise TarDamageError("ends inside a member", self.num_bytes)
        return content

    def _pass_over(self, length: int) -> None:
        """Go behind a member's content without reading it, but for its last byte."""
        if length > 0:
            self._file.seek(length - 1, os.SEEK_CUR)
            self.num_bytes += length - 1
            if not self._read(1):
                raise TarDamageError("ends inside a member", self.num_bytes)

    def _small_content(self, header: tarfile.TarInfo) -> bytes:
        if header.size > _MAX_NAME_BYTES:
            raise TarDamageError(f"has a name of {header.size} bytes", self.num_bytes)
        content = self._content(header.size)
        self._skip_padding(header.size)
        return content or b""

    def _skip_padding(self, length: int) -> None:
        padding = -length % BLOCK_BYTES
        if len(self._read(padding)) < padding:
            raise TarDamageError("ends inside the padding of a member", self.num_bytes)

    def _check_rest(self) -> None:
        """Nothing but zeros may follow; else another tar was appended, which nobody reads."""
        while rest := self._read(_CHUNK):
            if rest.strip(b"\0"):
                raise TarDamageError("goes on after its end mark", self.num_bytes - len(rest))

    def _read(self, length: int) -> bytes:
        content = self._file.read(length)
        self._digest.update(content)
        self.num_bytes += len(content)
        return content


def _pax_records(content: bytes, byte: int) -> dict[str, str]:
    """Parse records of `LENGTH KEY=VALUE` and a line feed."""
    records = {}
    while content:
        digits, _, _ = content.partition(b" ")
        if not digits.isdigit() or not len(digits) < int(digits) <= len(content):
            raise TarDamageError("has an extended header that cannot be read", byte)
        record, content = content[len(digits) + 1 : int(digits) - 1], content[int(digits) :]
        key, _, value = record.partition(b"=")
        records[_text(key)] = _text(value)
    if not records.get("size", "0").isdigit():
        raise TarDamageError("has an extended header that cannot be read", byte)
    return records


def _text(content: bytes) -> str:
    return content.decode("utf-8", "surrogateescape")
