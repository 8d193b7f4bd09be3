"""Length of a FLAC file, from its last frame (RFC 9639, section 9).

A FLAC file that went through a pipe says 0 samples, of which libsndfile makes 2^63 - 1 and loses
the last block; one that says too few is read no further.
"""

from __future__ import annotations

from typing import NamedTuple

from gsv2.audio.errors import WaveError

_HEADS = (b"fLaC\x00\x00\x00\x22", b"fLaC\x80\x00\x00\x22")
"""Mark of a file and the head of its first metadata, of which none may come before, by length."""
_TOTAL_AT = 21  # byte whose low four bits open the 36-bit number of samples
_TOTAL_MASK = (1 << 36) - 1
_SEARCHED_BYTES = 1 << 20  # no frame is longer
_BLOCK_SIZES = {1: 192, **{n: 576 << (n - 2) for n in range(2, 6)}}
_BLOCK_SIZES |= {n: 256 << (n - 8) for n in range(8, 16)}
_TAG_BYTES = 128  # ID3v1, behind the last frame


class _Frame(NamedTuple):
    """Header of a frame."""

    start: int
    stop_sample: int
    """Number of the frame's last sample, plus one."""


def split_flac(content: bytes) -> list[bytes]:
    """Return the files of which one was put behind the other; libsndfile reads the first alone."""
    starts = [0]
    for head in _HEADS:
        at = 0
        while (at := content.find(head, at + 1)) > 0:
            starts.append(at)
    starts.sort()
    return [content[start:stop] for start, stop in zip(starts, [*starts[1:], None], strict=True)]


def repair_flac(content: bytes) -> bytes:
    """Return a FLAC file whose header says how many samples there are.

    Raises:
        WaveError: the header says nothing, and the last frame is not whole.
    """
    if len(content) < _TOTAL_AT + 5:
        return content
    if content[-_TAG_BYTES:].startswith(b"TAG"):
        content = content[:-_TAG_BYTES]
    block_size = int.from_bytes(content[10:12], "big")
    said = int.from_bytes(content[_TOTAL_AT : _TOTAL_AT + 5], "big") & _TOTAL_MASK
    last = None
    at = len(content)
    while (at := content.rfind(b"\xff", max(_TOTAL_AT, len(content) - _SEARCHED_BYTES), at)) > 0:
        frame = _frame(content, at, block_size)
        if frame is None:
            continue
        if said and frame.stop_sample == said:
            return content
        if last is None and _crc16(content[at:]) == 0:
            last = frame
            break
        if said and frame.stop_sample < said:
            return content  # it was cut, and decoding will tell where
    if last is None:
        if said:
            return content
        raise WaveError("cut: FLAC of unknown length ends inside a frame")
    if last.stop_sample < said:
        return content
    field = int.from_bytes(content[_TOTAL_AT : _TOTAL_AT + 5], "big") & ~_TOTAL_MASK
    total = (field | last.stop_sample).to_bytes(5, "big")
    return content[:_TOTAL_AT] + total + content[_TOTAL_AT + 5 :]


def _frame(content: bytes, at: int, block_size: int) -> _Frame | None:
    """Return the frame that begins at a byte; None = none does."""
    head = content[at : at + 16]
    if len(head) < 16 or head[1] & 0xFE != 0xF8 or head[3] & 1 or head[3] >> 4 > 10:
        return None
    size_code, rate_code = head[2] >> 4, head[2] & 15
    ones = 8 - (head[4] ^ 0xFF).bit_length()  # leading ones, as in UTF-8
    if size_code == 0 or rate_code == 15 or ones in (1, 8):
        return None
    number, place = head[4] & (0x7F >> ones if ones else 0x7F), 5
    for _ in range(max(ones - 1, 0)):
        number, place = number << 6 | head[place] & 0x3F, place + 1
    size_bytes = {6: 1, 7: 2}.get(size_code, 0)
    size = int.from_bytes(head[place : place + size_bytes], "big") + 1
    place += size_bytes + {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    if place >= len(head) or _crc8(head[: place + 1]) != 0:
        return None
    size = size if size_bytes else _BLOCK_SIZES.get(size_code, 0)
    counts_samples = bool(head[1] & 1)  # else frames, all but the last of one size
    return _Frame(at, (number if counts_samples else number * block_size) + size)


def _table(polynomial: int, bits: int) -> list[int]:
    top, mask = 1 << (bits - 1), (1 << bits) - 1
    table = []
    for byte in range(256):
        value = byte << (bits - 8)
        for _ in range(8):
            value = (value << 1 ^ polynomial if value & top else value << 1) & mask
        table.append(value)
    return table


_CRC8 = _table(0x07, 8)
_CRC16 = _table(0x8005, 16)


def _crc8(content: bytes) -> int:
    value = 0
    for byte in content:
        value = _CRC8[value ^ byte]
    return value


def _crc16(content: bytes) -> int:
    value = 0
    for byte in content:
        value = (value << 8 & 0xFFFF) ^ _CRC16[value >> 8 ^ byte]
    return value
