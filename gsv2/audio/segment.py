"""Segments of a long recording, which is never held decoded: by seeking, or in one pass.

libsndfile seeks to the sample in PCM, FLAC and Opus. In Vorbis and MP3 it does not (findings/
libsndfile_seek.sh): these are decoded from their beginning on, once for segments in their order.
Segments out of order, and files whose streams are chained, cost the whole recording in memory.
"""

from __future__ import annotations

import io
import math
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import soundfile

from gsv2.audio.container import whole_files
from gsv2.audio.decoding import MP3_SLACK_FRAMES, mean_channel
from gsv2.audio.errors import WaveError
from gsv2.audio.media import HEAD_BYTES, media_kind
from gsv2.audio.wave import load_wave, resample

_IN_PLACE = frozenset({b"RIFF", b"RF64", b"BW64", b"RIFX", b"FORM", b"caff", b"riff", b".snd"})
"""First bytes of files that libsndfile opens as they are."""
_INEXACT = frozenset({"VORBIS", "MPEG_LAYER_I", "MPEG_LAYER_II", "MPEG_LAYER_III"})
"""Codecs in which it seeks to another place than it is told."""
_CONTEXT_SEC = 0.1
"""Sound on both sides of a segment that resampling needs."""
_SKIPPED_FRAMES = 1 << 18  # decoded at a time where nothing is kept


class Span(NamedTuple):
    """Segment of a recording, in seconds."""

    start_sec: float
    end_sec: float


class _Frames(Protocol):
    """Frames of an open file."""

    def read(self, first: int, last: int) -> np.ndarray | None:
        """Return frames `first` to `last` as [N, C] float32; None if that costs the whole."""


class SoundReader:
    """An open recording that segments are read from.

    Args:
        path: audio file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = _open(path)
        self._frames: _Frames | None = None
        if self._file is not None:
            in_one_pass = self._file.subtype in _INEXACT
            self._frames = _OnePass(self._file) if in_one_pass else _Seeking(self._file)

    def duration_sec(self, sample_rate: int) -> float:
        """Return the length of the recording."""
        if self._file is None:
            return len(_whole(self._path, _changed(self._path), sample_rate)) / sample_rate
        return self._file.frames / self._file.samplerate

    def read(self, span: Span, sample_rate: int, channel: int | None = None) -> np.ndarray:
        """Return a segment as [N] float32.

        Args:
            span: inside the recording.
            sample_rate: rate to return, in Hz.
            channel: channel to return, from 0; None = the mean of all.

        Raises:
            WaveError: it cannot be decoded, ends early, has no such channel, or has NaN.
        """
        start, end = (round(time * sample_rate) for time in span)
        wave = self._seek(start, end, sample_rate, channel)
        if wave is None:
            if channel is not None:
                raise WaveError("has channels that cannot be told apart: its segments lie apart")
            wave = _whole(self._path, _changed(self._path), sample_rate)[start:end].copy()
        if not np.isfinite(wave).all():
            raise WaveError("holds NaN or infinite samples")
        return wave

    def _seek(
        self, start: int, end: int, sample_rate: int, channel: int | None
    ) -> np.ndarray | None:
        """Read samples with what is around them, so that they are a part of the resampled whole."""
        if self._file is None or self._frames is None:
            return None
        rate = int(self._file.samplerate)
        step = rate // math.gcd(rate, sample_rate)  # frames that are whole samples at both rates
        context = 0 if rate == sample_rate else math.ceil(_CONTEXT_SEC * rate)
        first = max(start * rate // sample_rate - context, 0) // step * step
        last = min(-(-end * rate // sample_rate) + context, int(self._file.frames))
        frames = self._decode(first, last)
        if frames is None:
            return None
        wave = resample(_channel(frames, channel), rate, sample_rate)
        offset = start - first * sample_rate // rate
        return np.ascontiguousarray(wave[offset : offset + end - start])

    def _decode(self, first: int, last: int) -> np.ndarray | None:
        assert self._file is not None
        assert self._frames is not None
        rate = self._file.samplerate
        try:
            frames = self._frames.read(first, last)
        except (soundfile.SoundFileError, RuntimeError) as error:
            raise WaveError(f"cannot be read as audio: at {first / rate:.2f} s") from error
        slack = MP3_SLACK_FRAMES if self._file.format == "MP3" else 0
        if frames is not None and len(frames) < last - first - slack:
            raise WaveError(f"cut: ends at {(first + len(frames)) / rate:.2f} s, inside a segment")
        return frames


class _Seeking:
    """Frames of a file in which libsndfile seeks to the sample."""

    def __init__(self, file: soundfile.SoundFile) -> None:
        self._file = file

    def read(self, first: int, last: int) -> np.ndarray | None:
        self._file.seek(first)
        return self._file.read(last - first, dtype="float32", always_2d=True)


class _OnePass:
    """Frames of a file that is decoded from its beginning on; those read last can be read again."""

    def __init__(self, file: soundfile.SoundFile) -> None:
        self._file = file
        self._kept = np.zeros((0, file.channels), dtype=np.float32)
        self._next = 0  # frame that the decoder gives next

    def read(self, first: int, last: int) -> np.ndarray | None:
        if first < self._next - len(self._kept):
            return None
        while self._next < first:
            self._kept = self._advance(min(first - self._next, _SKIPPED_FRAMES))
            if not len(self._kept):
                return self._kept
        kept = (
            self._kept[len(self._kept) - (self._next - first) :]
            if self._next > first
            else self._kept[:0]
        )
        if self._next < last:
            kept = np.concatenate([kept, self._advance(last - self._next)])
        self._kept = kept
        return kept[: last - first]

    def _advance(self, count: int) -> np.ndarray:
        frames = self._file.read(count, dtype="float32", always_2d=True)
        self._next += len(frames)
        return frames


def open_recording(path: Path) -> SoundReader:
    """Return a recording, the one before kept open, since segments of one follow each other.

    Raises:
        WaveError: it cannot be read as audio.
    """
    return _kept_open(path, _changed(path))


def _changed(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_size


@lru_cache(maxsize=1)
def _kept_open(path: Path, changed: tuple[int, int]) -> SoundReader:
    return SoundReader(path)


@lru_cache(maxsize=1)
def _whole(path: Path, changed: tuple[int, int], sample_rate: int) -> np.ndarray:
    return load_wave(path, sample_rate)


def _open(path: Path) -> soundfile.SoundFile | None:
    """Return the file open; None if it is several streams in a chain, or not for libsndfile."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if media_kind(head) is not None:
        return None
    try:
        if head[:4] in _IN_PLACE:
            return soundfile.SoundFile(str(path))
        files = whole_files(path.read_bytes())
        return soundfile.SoundFile(io.BytesIO(files[0])) if len(files) == 1 else None
    except soundfile.SoundFileError as error:
        reason = " ".join(str(getattr(error, "error_string", error)).split())
        raise WaveError(f"cannot be read as audio: {reason}") from error


def _channel(frames: np.ndarray, channel: int | None) -> np.ndarray:
    """Return a channel of [N, C], or the mean of all, as [N]."""
    if channel is None:
        return mean_channel(frames)
    if not 0 <= channel < frames.shape[1]:
        raise WaveError(f"has no such channel: {channel}, there are {frames.shape[1]}")
    return np.ascontiguousarray(frames[:, channel])
