"""Sound tracks of containers that libsndfile does not read: M4A, MP4, AAC, WebM, WMA, AMR, video.

FFmpeg decodes them, through PyAV (the extra `gsv2[media]`). The first bytes say what a file is.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np

from gsv2.audio.decoding import mean_channel
from gsv2.audio.errors import WaveError, cut_error, too_long_error

EXTRA = "gsv2[media]"
"""What to install for them."""
HEAD_BYTES = 16
"""Bytes that tell what a file is."""

_KINDS = (
    (b"\x1aE\xdf\xa3", "WebM or Matroska"),
    (b"0&\xb2u\x8ef\xcf\x11", "WMA or ASF"),
    (b"#!AMR", "AMR"),
    (b"ADIF", "AAC"),
    (b"MAC ", "Monkey's Audio"),
    (b"wvpk", "WavPack"),
    (b"FLV\x01", "Flash video"),
)
_WITHOUT_LENGTH = "aac"
"""FFmpeg's name of AAC without a container (ADTS), whose length it guesses by the first rates."""
_SLACK_SEC = 0.1
"""Part of the length that a header says, which an encoder's delay may make."""


def media_kind(head: bytes) -> str | None:
    """Return what a file is, by its first `HEAD_BYTES`; None for what libsndfile should read."""
    if head[4:8] == b"ftyp":
        return "MP4, M4A or 3GP"
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "AVI"
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0:  # MPEG audio has a layer there
        return "AAC"
    return next((kind for start, kind in _KINDS if head.startswith(start)), None)


def decode_media(content: bytes, max_sec: float) -> tuple[np.ndarray, int]:
    """Return the mean of the channels of the first sound track, [N] float32, and its rate in Hz.

    Args:
        content: bytes of a file that `media_kind` knows.
        max_sec: longer tracks are refused before they are decoded.

    Raises:
        WaveError: PyAV is not installed; or the file has no sound, was cut, is longer, or cannot
            be decoded.
    """
    kind = media_kind(content[:HEAD_BYTES])
    if find_spec("av") is None:
        raise WaveError(f"is {kind}: PyAV reads it, pip install '{EXTRA}'")
    import av

    try:
        with av.open(io.BytesIO(content)) as container:
            if not container.streams.audio:
                raise WaveError(f"has no sound track: it is {kind}")
            return _decode(container, container.streams.audio[0], max_sec)
    except (av.FFmpegError, ValueError, EOFError) as error:
        if isinstance(error, WaveError):
            raise
        raise WaveError(f"cannot be read as audio: {kind}, {error}") from error


def _decode(container: Any, stream: Any, max_sec: float) -> tuple[np.ndarray, int]:
    said_sec = float(stream.duration * stream.time_base) if stream.duration else 0.0
    if container.format.name == _WITHOUT_LENGTH:
        said_sec = 0.0
    if said_sec > max_sec:
        raise too_long_error(said_sec, max_sec)
    rate = int(stream.rate)
    blocks: list[np.ndarray] = []
    num_samples = 0
    for frames in _frames(container, stream, rate):
        blocks.append(mean_channel(frames))
        num_samples += len(frames)
        if num_samples > max_sec * rate:  # of a track whose header says nothing, or less
            raise too_long_error(num_samples / rate, max_sec)
    wave = np.concatenate(blocks) if blocks else np.zeros(0, dtype=np.float32)
    if len(wave) < (said_sec - _SLACK_SEC) * rate:
        raise cut_error(said_sec, len(wave) / rate)
    if not np.isfinite(wave).all():
        raise WaveError("holds NaN or infinite samples")
    return wave, rate


def _frames(container: Any, stream: Any, rate: int) -> Iterator[np.ndarray]:
    """Yield blocks of [N, C] float32, all channels of the track at one rate."""
    import av

    resampler = av.AudioResampler(format="fltp", layout=stream.layout.name, rate=rate)
    for frame in container.decode(stream):
        for converted in resampler.resample(frame):
            yield converted.to_ndarray().T
    for converted in resampler.resample(None):
        yield converted.to_ndarray().T
