"""Encoder of audio that comes piece by piece, into the formats that players stream.

FFmpeg encodes, through PyAV (the extra `gsv2[media]`); WAV and raw PCM need no library.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import soxr

from gsv2.audio.media import EXTRA

EncodedFormat = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]
"""Names of the formats, as OpenAI's speech interface has them."""
FORMATS: tuple[str, ...] = get_args(EncodedFormat)
PCM_RATE = 24_000
"""Rate of `pcm` in Hz: raw samples say no rate, and clients of OpenAI's interface take this one."""
_OPUS_RATE = 48_000
_FULL_SCALE = 32767
_UNKNOWN = 0xFFFFFFFF
"""Length in a WAV header that is written before its end is known."""


class _Codec(NamedTuple):
    """How FFmpeg writes a format."""

    container: str
    codec: str
    bit_rate: int = 0
    options: Mapping[str, str] = {}


_CODECS = {
    "mp3": _Codec("mp3", "libmp3lame", 96_000, {"write_xing": "0"}),
    "opus": _Codec("ogg", "libopus", 64_000, {"page_duration": "200000"}),
    "aac": _Codec("adts", "aac", 96_000),
    "flac": _Codec("flac", "flac"),
}
MEDIA_TYPES = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
"""Format -> its media type."""


def encode_whole(
    wave: np.ndarray,
    sample_rate: int,
    audio_format: EncodedFormat,
    tags: Mapping[str, str] | None = None,
) -> bytes:
    """Return [N] float32 in -1..1 as a file whose header knows its length.

    Args:
        sample_rate: rate of `wave` in Hz; WAV, FLAC, MP3 and AAC keep it.
        tags: texts that the file holds about itself; PCM and AAC have no place for them.

    Raises:
        ValueError: PyAV is needed and not installed.
    """
    if audio_format == "wav":
        samples = to_pcm16(wave)
        return _wav_header(sample_rate, len(samples), tags) + samples
    encoder = StreamEncoder(audio_format, sample_rate, tags, seekable=True)
    encoder.encode(wave)
    encoder.finish()
    return encoder.written()


class StreamEncoder:
    """Waves in, bytes of one file out.

    Args:
        sample_rate: rate of the waves in Hz; WAV, FLAC, MP3 and AAC keep it.
        tags: texts that the file holds about itself; PCM and AAC have no place for them.
        seekable: let the header be written again at the end; the bytes are then `written`.

    Raises:
        ValueError: PyAV is needed and not installed.
    """

    def __init__(
        self,
        audio_format: EncodedFormat,
        sample_rate: int,
        tags: Mapping[str, str] | None = None,
        *,
        seekable: bool = False,
    ) -> None:
        self._sample_rate = sample_rate
        self._pcm: soxr.ResampleStream | None = None
        self._container: Any = None
        self._buffer = io.BytesIO() if seekable else _Pipe()
        self._num_samples = 0
        if audio_format == "pcm":
            self._pcm = soxr.ResampleStream(sample_rate, PCM_RATE, 1, dtype="float32")
        elif audio_format == "wav":
            self._buffer.write(_wav_header(sample_rate, None, tags))
        else:
            self._open(_CODECS[audio_format], tags or {})

    def encode(self, wave: np.ndarray) -> bytes:
        """Take the next wave [N] float32 in -1..1; return what can be sent, perhaps nothing."""
        if self._container is not None:
            self._encode_frame(wave)
        elif self._pcm is not None:
            self._buffer.write(to_pcm16(self._pcm.resample_chunk(wave)))
        else:
            self._buffer.write(to_pcm16(wave))
        return self._take()

    def finish(self) -> bytes:
        """Return the rest of the file; nothing can be encoded after it."""
        if self._container is not None:
            self._mux(self._stream.encode(None))
            self._container.close()
        elif self._pcm is not None:
            rest = self._pcm.resample_chunk(np.zeros(0, dtype=np.float32), last=True)
            self._buffer.write(to_pcm16(rest))
        return self._take()

    def written(self) -> bytes:
        """Return the whole file of a seekable encoder that has finished."""
        return self._buffer.getvalue()

    def _open(self, codec: _Codec, tags: Mapping[str, str]) -> None:
        if find_spec("av") is None:
            raise ValueError(f"{codec.codec} needs PyAV: pip install '{EXTRA}'")
        import av

        rate = _OPUS_RATE if codec.codec == "libopus" else self._sample_rate
        options = dict(codec.options) if isinstance(self._buffer, _Pipe) else {}
        self._container = av.open(self._buffer, "w", format=codec.container, options=options)
        self._container.metadata.update(tags)
        self._stream = self._container.add_stream(codec.codec, rate=rate, layout="mono")
        if codec.bit_rate:
            self._stream.bit_rate = codec.bit_rate

    def _encode_frame(self, wave: np.ndarray) -> None:
        import av

        if len(wave) == 0:
            return
        clipped = np.clip(wave, -1.0, 1.0).astype(np.float32, copy=False)
        frame = av.AudioFrame.from_ndarray(clipped[None], format="fltp", layout="mono")
        frame.sample_rate = self._sample_rate
        frame.pts = self._num_samples
        self._num_samples += len(wave)
        self._mux(self._stream.encode(frame))

    def _mux(self, packets: Any) -> None:
        for packet in packets:
            self._container.mux(packet)

    def _take(self) -> bytes:
        return self._buffer.take() if isinstance(self._buffer, _Pipe) else b""


class _Pipe(io.BytesIO):
    """A file that can only be written on; what was taken is forgotten."""

    def seekable(self) -> bool:
        return False

    def take(self) -> bytes:
        """Return what was written since the last time."""
        content = self.getvalue()
        super().seek(0)
        self.truncate()
        return content


def to_pcm16(wave: np.ndarray) -> bytes:
    """Return [N] float32 in -1..1 as 16-bit little-endian samples; larger values are clipped."""
    scaled = np.clip(wave, -1.0, 1.0) * _FULL_SCALE
    return np.round(scaled).astype("<i2").tobytes()


def _wav_header(rate: int, num_bytes: int | None, tags: Mapping[str, str] | None) -> bytes:
    """Return the header of mono 16-bit WAV, up to its samples; None = their length is unknown."""
    info = _wav_info(tags or {})
    size = _UNKNOWN if num_bytes is None else num_bytes
    total = _UNKNOWN if num_bytes is None else 36 + len(info) + num_bytes
    head = struct.pack(
        "<4sI4s4sIHHIIHH", b"RIFF", total, b"WAVE", b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16
    )
    return head + info + struct.pack("<4sI", b"data", size)


def _wav_info(tags: Mapping[str, str]) -> bytes:
    """Return a LIST chunk with the tags that WAV knows: `comment`, `title`, `artist`."""
    keys = {"comment": b"ICMT", "title": b"INAM", "artist": b"IART"}
    parts = b""
    for name, value in tags.items():
        if name in keys:
            text = value.encode() + b"\0"
            parts += keys[name] + struct.pack("<I", len(text)) + text + b"\0" * (len(text) % 2)
    return b"LIST" + struct.pack("<I", 4 + len(parts)) + b"INFO" + parts if parts else b""
