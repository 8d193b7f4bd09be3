"""Waveforms with one channel: reading, writing, resampling and levelling.

Files go through soundfile (WAV, FLAC, OGG, Opus, MP3 from its wheel) or, where they are M4A, AAC
or video, through PyAV (the extra `gsv2[media]`); resampling goes through soxr, loudness through
pyloudnorm (ITU-R BS.1770-4).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
import soxr

from gsv2.audio.container import whole_files
from gsv2.audio.decoding import decode_file
from gsv2.audio.errors import WaveError as WaveError
from gsv2.audio.media import HEAD_BYTES, decode_media, media_kind
from gsv2.files import named_errors

TARGET_LUFS = -23.0
"""Integrated loudness of corpus audio (EBU R 128)."""
PEAK_LIMIT = 0.99
"""Largest absolute sample after levelling; the gain gives way, nothing is clipped."""

MAX_WAVE_SEC = 6 * 3600.0
"""Longest audio that is decoded."""

_GATE_SEC = 0.4  # block of BS.1770; a shorter clip is repeated until it fills one
PCM_FORMATS = ("FLAC", "WAV", "WAVEX", "RF64", "AIFF")
"""Formats of libsndfile that are written as 16-bit integers."""

WaveSource = str | os.PathLike[str] | bytes | memoryview | BinaryIO


def load_wave(
    source: WaveSource,
    sample_rate: int,
    out: np.ndarray | None = None,
    max_sec: float = MAX_WAVE_SEC,
) -> np.ndarray:
    """Read audio to its end as one channel at `sample_rate`.

    Args:
        source: path, bytes of a file, or open binary file. Its content decides what it is.
        sample_rate: rate to return, in Hz; soxr resamples when the file has another.
        out: [M] float32 memory to decode into, used if the file has one channel, this rate and
            at most M samples.
        max_sec: longer audio is refused.

    Returns:
        [N] float32, channels averaged; the front of `out` if that was used.

    Raises:
        WaveError: missing, unreadable, cut off, empty, longer than `max_sec`, with NaN or infinite
            samples, or with channels that cancel each other.
        OSError: the file is there, but the machine cannot read it.
    """
    name = _name(source)
    content = _read(source, name)
    try:
        if media_kind(content[:HEAD_BYTES]) is not None:
            wave, rate = decode_media(content, max_sec)
            if wave.size == 0:
                raise WaveError("holds no samples")
            return resample(wave, rate, sample_rate)
        waves: list[np.ndarray] = []
        left_sec = max_sec
        for file in whole_files(content):
            wave, rate = decode_file(file, sample_rate, left_sec, out if not waves else None)
            left_sec -= len(wave) / rate
            waves.append(resample(wave, rate, sample_rate))
        joined = waves[0] if len(waves) == 1 else np.concatenate(waves)
        if joined.size == 0:
            raise WaveError("holds no samples")
    except WaveError as error:
        raise WaveError(error.reason, name, error.measured, error.threshold) from error
    return joined


def _read(source: WaveSource, name: str) -> bytes:
    """Return the bytes of a file."""
    if isinstance(source, bytes | memoryview):
        return bytes(source)
    if not isinstance(source, str | os.PathLike):
        return source.read()
    path = Path(source)
    if not path.is_file():
        raise WaveError(f"{name} does not exist")
    try:
        return path.read_bytes()
    except PermissionError as error:
        raise WaveError(f"{name} may not be read") from error


def save_wave(
    target: str | os.PathLike[str] | BinaryIO, wave: np.ndarray, sample_rate: int
) -> None:
    """Write mono 16-bit audio; the suffix of a path selects the format.

    Args:
        target: path, or open binary file (which gets FLAC).
        wave: [N] float in -1..1; larger values are clipped.
        sample_rate: rate in Hz.

    Raises:
        WaveError: `wave` is not [N], empty or not finite, or the format is unknown.
        OSError: the disk does not take it; names the file.
    """
    name = _name(target)
    if wave.ndim != 1 or wave.size == 0:
        raise WaveError(f"{name}: a mono wave must have shape [N], N > 0, but has {wave.shape}")
    if not np.isfinite(wave).all():
        raise WaveError(f"{name}: the wave holds NaN or infinite samples")
    suffix = Path(target).suffix if isinstance(target, str | os.PathLike) else ".flac"
    file_format = suffix.removeprefix(".").upper()
    if file_format not in soundfile.available_formats():
        raise WaveError(f"{name} must end in the suffix of an audio format, e.g. .wav or .flac")
    subtype = "PCM_16" if file_format in PCM_FORMATS else None
    place = target if isinstance(target, str | os.PathLike) else name
    with named_errors(place, soundfile.SoundFileError):
        soundfile.write(target, wave, sample_rate, subtype=subtype, format=file_format)


def resample(wave: np.ndarray, from_rate: int, to_rate: int) -> np.ndarray:
    """Resample [N] float32 between rates in Hz; the same wave when they are equal."""
    if from_rate == to_rate:
        return wave
    return soxr.resample(wave, from_rate, to_rate).astype(np.float32, copy=False)


def loudness_gain(lufs: float, peak: float, target_lufs: float = TARGET_LUFS) -> float:
    """Return the factor that brings audio to a loudness, its peak at most to `PEAK_LIMIT`."""
    return min(10.0 ** ((target_lufs - lufs) / 20.0), PEAK_LIMIT / peak)


def measure_loudness(wave: np.ndarray, sample_rate: int) -> float:
    """Return the integrated loudness of [N] in LUFS; -inf for silence."""
    import pyloudnorm  # brings scipy.signal, which no run needs

    if wave.size == 0:
        return float("-inf")
    gate = int(np.ceil(_GATE_SEC * sample_rate))
    filled = np.tile(wave, -(-gate // wave.size)) if wave.size < gate else wave
    with np.errstate(divide="ignore", invalid="ignore"):
        loudness = pyloudnorm.Meter(sample_rate).integrated_loudness(filled.astype(np.float64))
    return float(loudness)


def _name(source: object) -> str:
    if isinstance(source, str | os.PathLike):
        return f"audio file {os.fspath(source)}"
    return f"audio file {name}" if (name := getattr(source, "name", None)) else "audio"
