"""Ogg files: whether all pages are there, and the streams that follow each other (RFC 3533).

libsndfile reads the first stream of a chain, and takes a file that was cut for a shorter one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from gsv2.audio.errors import WaveError

_HEAD_BYTES = 27
_BEGINS, _ENDS = 2, 4  # bits of a page's flags


class _Page(NamedTuple):
    """One page."""

    start: int
    flags: int
    serial: int
    number: int


def split_ogg(content: bytes) -> list[bytes]:
    """Return the streams of a chain, each as a file; a file that is no chain alone.

    Raises:
        WaveError: cut off, or pages are missing.
    """
    starts: list[int] = []
    numbers: dict[int, int] = {}  # serial -> last page
    open_streams: set[int] = set()
    began = False
    for page in _pages(content):
        begins = bool(page.flags & _BEGINS)
        if begins and not began:
            _check_ended(open_streams, page.start)
            starts.append(page.start)
            numbers.clear()
        began = begins
        expected = numbers.get(page.serial, page.number - 1) + 1
        if page.number != expected:
            raise WaveError(f"cut: Ogg page {expected} is missing before byte {page.start}")
        numbers[page.serial] = page.number
        if page.flags & _ENDS:
            open_streams.discard(page.serial)
        else:
            open_streams.add(page.serial)
    _check_ended(open_streams, len(content))
    if len(starts) < 2:
        return [content]
    return [content[a:b] for a, b in zip(starts, [*starts[1:], len(content)], strict=True)]


def _check_ended(open_streams: set[int], at: int) -> None:
    if open_streams:
        raise WaveError(f"cut: Ogg has no last page before byte {at}")


def _pages(content: bytes) -> Iterator[_Page]:
    """Yield all pages; bytes behind the last that are no page end the file."""
    at = 0
    while content[at : at + 4] == b"OggS":
        head = content[at : at + _HEAD_BYTES]
        num_parts = head[-1] if len(head) == _HEAD_BYTES else 0
        parts = content[at + _HEAD_BYTES : at + _HEAD_BYTES + num_parts]
        stop = at + _HEAD_BYTES + num_parts + sum(parts)
        if len(head) < _HEAD_BYTES or len(parts) < num_parts or stop > len(content):
            raise WaveError(f"cut: the Ogg page at byte {at} ends after the file")
        serial = int.from_bytes(head[14:18], "little")
        yield _Page(at, head[5], serial, int.from_bytes(head[18:22], "little"))
        at = stop
    if content.find(b"OggS", at) >= 0:
        raise WaveError(f"cut: no Ogg page at byte {at}, but more behind it")
