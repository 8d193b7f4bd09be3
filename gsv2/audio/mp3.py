"""MP3 files (MPEG layer III): their frames, counted one by one.

libsndfile takes the length from the Xing table, or divides the size of the file by the bit rate
of the first frame, and reads no further: a file of variable rate without a table is cut. Here
the frames are counted, and such a file gets a table (ISO 11172-3 2.4.1.3 frame headers; the table
is described in LAME's `VbrTag.c`).
"""

from __future__ import annotations

from typing import NamedTuple

from gsv2.audio.errors import WaveError, cut_error

_RATES_HZ = (44_100, 48_000, 32_000)
_KBPS_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBPS_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_HALVINGS = {3: 0, 2: 1, 0: 2}  # halvings of the rate, for MPEG 1, 2 and 2.5
_HEADER_BYTES = 4
_TABLE_REACH = 64  # bytes from the start of a frame in which the table begins
_VBRI_FRAMES_AT = 14
_TABLE_HAS_FRAMES = 1
_TABLE_KBPS_INDEX = 9  # 128 or 80 kbit/s: room for the table at every rate


class _Header(NamedTuple):
    """Header of a frame."""

    kind: tuple[int, int]
    """Version and rate, equal in all frames of a file."""
    length: int
    """Bytes of the frame."""
    samples: int
    """Samples of the frame, a channel."""
    rate: int
    """Sample rate in Hz."""


class _Table(NamedTuple):
    """Table of a file in its first frame, if it has one."""

    there: bool
    """Whether the first frame is a table."""
    num_frames: int
    """Number of frames that the table names; 0 = none."""
    readable: bool = True
    """Whether mpg123, the decoder of libsndfile, reads the table."""


def repair_mp3(content: bytes) -> bytes | None:
    """Return the frames of an MP3 file, with a table that says how many there are.

    Tags and junk before, between and behind the frames are left out.

    Returns:
        None if it is no MP3 file.

    Raises:
        WaveError: it ends inside a frame, or before its table says.
    """
    at = _find_frame(content, 0)
    if at is None:
        return None
    first = _header(content, at)
    assert first is not None
    table = _read_table(content[at : at + first.length])
    num_frames, spans = _walk(content, at, first)
    if table.there:
        num_frames -= 1
    second = first.samples / first.rate
    if table.num_frames > num_frames + 1:
        raise cut_error(table.num_frames * second, num_frames * second, "there")
    if num_frames < 1:
        raise WaveError("holds no samples")
    frames = b"".join(content[start:stop] for start, stop in spans)
    if table.readable and table.num_frames and table.num_frames >= num_frames - 1:
        return frames
    return _make_table(content[at : at + _HEADER_BYTES], num_frames) + (
        frames[first.length :] if table.there else frames
    )


def _header(content: bytes, at: int) -> _Header | None:
    """Return what the frame header at a byte says; None = there is none."""
    if at + _HEADER_BYTES > len(content):
        return None
    _, second, third, _ = content[at : at + _HEADER_BYTES]
    version, kbps, rate = second >> 3 & 3, third >> 4, third >> 2 & 3
    is_layer_3 = content[at] == 0xFF and second >> 5 == 7 and second >> 1 & 3 == 1
    if not is_layer_3 or version == 1 or kbps in (0, 15) or rate == 3:
        return None
    rate_hz = _RATES_HZ[rate] >> _HALVINGS[version]
    bits_per_sec = 1000 * (_KBPS_1 if version == 3 else _KBPS_2)[kbps]
    samples = 1152 if version == 3 else 576
    length = samples // 8 * bits_per_sec // rate_hz + (third >> 1 & 1)
    return _Header((version, rate), length, samples, rate_hz)


def _find_frame(content: bytes, start: int, kind: tuple[int, int] | None = None) -> int | None:
    """Return where the next frame begins that another one of its kind follows."""
    at = content.find(b"\xff", start)
    while at >= 0:
        header = _header(content, at)
        if header is not None and kind in (None, header.kind):
            following = at + header.length
            after = _header(content, following)
            if (after and after.kind == header.kind) or following == len(content):
                return at
        at = content.find(b"\xff", at + 1)
    return None


def _walk(content: bytes, at: int, first: _Header) -> tuple[int, list[tuple[int, int]]]:
    """Return the number of frames and where they lie, runs of them joined."""
    num_frames, spans, start = 0, [], at
    while True:
        header = _header(content, at)
        if header is not None and header.kind == first.kind:
            if at + header.length > len(content):
                raise WaveError(
                    f"cut: the last MP3 frame has {len(content) - at} of {header.length} bytes, "
                    f"after {num_frames * first.samples / first.rate:.2f} s"
                )
            at, num_frames = at + header.length, num_frames + 1
            continue
        spans.append((start, at))
        following = _find_frame(content, at, first.kind)
        if following is None:
            return num_frames, spans
        at = start = following


def _read_table(frame: bytes) -> _Table:
    """Read Xing's, LAME's (`Info`) or Fraunhofer's (`VBRI`) table."""
    head = frame[:_TABLE_REACH]
    for name in (b"Xing", b"Info"):
        if (at := head.find(name)) >= 0:
            flags = int.from_bytes(frame[at + 4 : at + 8], "big")
            says = flags & _TABLE_HAS_FRAMES
            return _Table(True, int.from_bytes(frame[at + 8 : at + 12], "big") if says else 0)
    if (at := head.find(b"VBRI")) >= 0:
        at += _VBRI_FRAMES_AT
        return _Table(True, int.from_bytes(frame[at : at + 4], "big"), readable=False)
    return _Table(False, 0)


def _make_table(head: bytes, num_frames: int) -> bytes:
    """Return a frame with Xing's table, of the kind of a frame header."""
    second, third = head[1] | 1, (head[2] & 0x0C) | _TABLE_KBPS_INDEX << 4
    header = bytes((head[0], second, third, head[3]))
    made = _header(header, 0)
    assert made is not None
    is_mono, is_mpeg1 = head[3] >> 6 == 3, made.samples == 1152
    side_bytes = (17 if is_mono else 32) if is_mpeg1 else (9 if is_mono else 17)
    table = b"Xing" + _TABLE_HAS_FRAMES.to_bytes(4, "big") + num_frames.to_bytes(4, "big")
    return (header + bytes(side_bytes) + table).ljust(made.length, b"\0")
