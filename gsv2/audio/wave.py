"""Mono waveforms: read, write, resample and level them.

Files go through soundfile (WAV, FLAC, OGG, Opus, MP3 from its wheel), resampling through soxr,
loudness through pyloudnorm (ITU-R BS.1770-4).
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
import soxr

TARGET_LUFS = -23.0
"""Integrated loudness of corpus audio (EBU R 128)."""
PEAK_LIMIT = 0.99
"""Largest absolute sample after levelling; the gain gives way, nothing is clipped."""

_GATE_SEC = 0.4  # block of BS.1770; a shorter clip is repeated until it fills one
_SILENT_LUFS = -70.0  # absolute gate of BS.1770
_PCM_FORMATS = ("FLAC", "WAV", "WAVEX", "RF64", "AIFF")

WaveSource = str | os.PathLike[str] | bytes | memoryview | BinaryIO


class WaveError(ValueError):
    """Audio that cannot be used; the message names the thing and the reason."""


def load_wave(source: WaveSource, sample_rate: int, out: np.ndarray | None = None) -> np.ndarray:
    """Read audio as one channel at `sample_rate`.

    Args:
        source: path, bytes of a file, or open binary file.
        sample_rate: wanted rate in Hz; soxr resamples when the file has another.
        out: [M] float32 memory to decode into, used if the file has one channel, this rate and
            at most M samples.

    Returns:
        [N] float32, channels averaged; the front of `out` if that was used.

    Raises:
        WaveError: missing, unreadable, cut off, empty, or with NaN or infinite samples.
    """
    name = _name(source)
    if isinstance(source, str | os.PathLike) and not Path(source).is_file():
        raise WaveError(f"{name} does not exist")
    opened = io.BytesIO(source) if isinstance(source, bytes | memoryview) else source
    try:
        with soundfile.SoundFile(opened) as file:
            rate = int(file.samplerate)
            as_wanted = file.channels == 1 and rate == sample_rate
            if out is not None and as_wanted and file.frames <= len(out):
                wave = out[: file.frames]
                wave = wave[: file.buffer_read_into(wave, "float32")]  # no seek, as read() does
            else:
                wave = file.read(dtype="float32")  # [N] or [N, channels]
            cut = file.format == "FLAC" and len(wave) < file.frames
            is_integer = file.subtype.startswith("PCM_")  # FLAC too: it cannot hold NaN
    except (soundfile.SoundFileError, OSError, TypeError) as error:
        reason = " ".join(str(getattr(error, "error_string", error)).split())
        raise WaveError(f"{name} cannot be read as audio: {reason}") from error
    if cut:
        raise WaveError(f"{name} ends before its header says")
    if wave.size == 0:
        raise WaveError(f"{name} holds no samples")
    if not is_integer and not np.isfinite(wave).all():
        raise WaveError(f"{name} holds NaN or infinite samples")
    return resample(wave if wave.ndim == 1 else wave.mean(axis=1), rate, sample_rate)


def save_wave(
    target: str | os.PathLike[str] | BinaryIO, wave: np.ndarray, sample_rate: int
) -> None:
    """Write mono 16-bit audio; the suffix of a path selects the format.

    Args:
        target: path, or open binary file (which gets FLAC).
        wave: [N] float in -1..1; larger values are clipped.
        sample_rate: Hz.

    Raises:
        WaveError: `wave` is not [N], empty or not finite, or the format is unknown.
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
    subtype = "PCM_16" if file_format in _PCM_FORMATS else None
    soundfile.write(target, wave, sample_rate, subtype=subtype, format=file_format)


def resample(wave: np.ndarray, from_rate: int, to_rate: int) -> np.ndarray:
    """Resample [N] float32 between rates in Hz; the same wave when they are equal."""
    if from_rate == to_rate:
        return wave
    return soxr.resample(wave, from_rate, to_rate).astype(np.float32, copy=False)


def normalise_loudness(
    wave: np.ndarray, sample_rate: int, target_lufs: float = TARGET_LUFS
) -> np.ndarray:
    """Bring a clip to `target_lufs`, or as near as `PEAK_LIMIT` allows.

    A clip below the absolute gate (-70 LUFS) is silence and stays as it is.

    Args:
        wave: [N] float32.
        sample_rate: Hz.
        target_lufs: integrated loudness to reach.

    Returns:
        [N] float32.
    """
    peak = float(np.abs(wave).max(initial=0.0))
    loudness = measure_loudness(wave, sample_rate)
    if peak == 0.0 or loudness < _SILENT_LUFS:
        return wave
    gain = min(10.0 ** ((target_lufs - loudness) / 20.0), PEAK_LIMIT / peak)
    return (wave * np.float32(gain)).astype(np.float32, copy=False)


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
