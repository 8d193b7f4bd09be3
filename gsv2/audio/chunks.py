"""Chunked audio files (WAV, RF64, AIFF, W64, CAF, AU): whether all their samples are there.

libsndfile takes such a file for a shorter one when it was cut, and leaves out what lies behind
the samples that its header says.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from gsv2.audio.errors import WaveError

_UNKNOWN_FROM = 0x7FFF_0000
"""A 32-bit size from this value on, or 0, was never known: the file went through a pipe."""


_MOST_BEHIND = 4096
"""Bytes behind the samples that may be anything: tags, padding of a sector."""
_TAGS = (b"ID3", b"TAG")
"""Tags that programs append without a chunk."""


class _Layout(NamedTuple):
    """Place and heads of the chunks of a format."""

    start: int
    name_bytes: int
    size_bytes: int
    order: Literal["little", "big"]
    data: bytes
    """Name of the chunk of samples."""
    align: int
    own_head: bool = False
    """Whether the size counts the head of the chunk."""


_W64_DATA = bytes.fromhex("64617461f3acd3118cd100c04f8edb8a")
_LAYOUTS = {
    b"RIFF": _Layout(12, 4, 4, "little", b"data", 2),
    b"RF64": _Layout(12, 4, 4, "little", b"data", 2),
    b"BW64": _Layout(12, 4, 4, "little", b"data", 2),
    b"RIFX": _Layout(12, 4, 4, "big", b"data", 2),
    b"FORM": _Layout(12, 4, 4, "big", b"SSND", 2),
    b"caff": _Layout(8, 4, 8, "big", b"data", 1),
    b"riff": _Layout(40, 16, 8, "little", _W64_DATA, 8, own_head=True),
}


def check_chunks(content: bytes) -> None:
    """Check that the samples that a file promises are in it, and no others; other formats pass.

    Raises:
        WaveError: it is cut, or goes on behind its samples; says how many bytes are there.
    """
    if content[:4] == b".snd":
        start, said = (int.from_bytes(content[at : at + 4], "big") for at in (4, 8))
        is_known = 0 < said < _UNKNOWN_FROM
        _check(said, len(content) - start, is_known=is_known)
        if is_known:
            _check_rest(said, content[start + said :])
        return
    if (layout := _LAYOUTS.get(content[:4])) is None:
        return
    head_bytes = layout.name_bytes + layout.size_bytes
    at, long_size = layout.start, 0
    while at + head_bytes <= len(content):
        name = content[at : at + layout.name_bytes]
        size = int.from_bytes(content[at + layout.name_bytes : at + head_bytes], layout.order)
        at += head_bytes
        size -= head_bytes if layout.own_head else 0
        if name == b"ds64":
            long_size = int.from_bytes(content[at + 8 : at + 16], "little")
        if name == layout.data:
            limit = _UNKNOWN_FROM if layout.size_bytes == 4 else 1 << 62
            if size >= limit and 0 < long_size < 1 << 62:
                size, limit = long_size, 1 << 62
            is_known = 0 < size < limit
            _check(size, len(content) - at, is_known=is_known)
            if is_known and layout.name_bytes == layout.size_bytes:
                _check_rest(size, _behind(content, at + size, layout))
            return
        at += -(-max(size, 0) // layout.align) * layout.align


def _check(said: int, there: int, *, is_known: bool) -> None:
    if is_known and said > there:
        raise WaveError(f"cut: header says {said} bytes of samples, {max(there, 0)} are there")


def _check_rest(said: int, rest: bytes) -> None:
    anything = rest.lstrip(b"\0")
    if len(anything) > _MOST_BEHIND and not anything.startswith(_TAGS):
        raise WaveError(
            f"goes on behind its samples: header says {said} bytes of them, {len(rest)} more follow"
        )


def _behind(content: bytes, at: int, layout: _Layout) -> bytes:
    """Return what is no chunk behind the samples, which end at a byte."""
    while at < len(content):
        for start in (at + at % layout.align, at):  # some programs forget the padding
            name, size = content[start : start + 4], content[start + 4 : start + 8]
            stop = start + 8 + int.from_bytes(size, layout.order)
            is_name = name.isascii() and name.decode("ascii").isprintable()
            if is_name and name != content[:4] and stop <= len(content):
                at = stop
                break
        else:
            return content[at:]
    return b""
