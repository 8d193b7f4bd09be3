"""Recordings on disk -> clips to write: folders and manifests that people already have."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np

from gsv2.audio.wave import WaveError, load_wave
from gsv2.data.building.encode import ClipRecord, Rejected
from gsv2.data.building.folder import UNDECODABLE, folder_recordings
from gsv2.data.building.jsonl import jsonl_recordings
from gsv2.data.building.keys import KeyRegister
from gsv2.data.building.offered import RecordedClip, Recording, RejectedFile, StoredClip
from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.data.process_pool import map_ahead

FORMATS = {"folder": folder_recordings, "jsonl": jsonl_recordings}
"""Input format -> function of (path, language) that lists recordings."""

Offer = Recording | RejectedFile | StoredClip
Loaded = ClipRecord | Rejected | StoredClip
"""What was read; what needs no reading passes through."""

_UNREADABLE = "cannot be read"
_ROUNDING_SEC = 0.05  # times in manifests are rounded


def checked_recordings(
    listing: Callable[[], Iterable[Recording | RejectedFile]],
) -> Iterator[Recording | RejectedFile]:
    """Yield the recordings of a listing, once all of it was found right, with keys of their own.

    Args:
        listing: called twice, so that nothing need be held: its faults come before any audio is
            read.

    Raises:
        CorpusError: what the listing raises.
    """
    register = KeyRegister()
    register.note(listing())
    yield from register.with_own_keys(listing())


def load_recording(recording: Offer) -> Loaded:
    """Read the audio and the transcript of a recording, at `SAMPLE_RATE`.

    Raises:
        OSError: the machine's fault, not the file's: too many open files, a disk that fails.
    """
    if not isinstance(recording, Recording):
        return recording
    try:
        text = _text(recording)
        wave = _wave(recording)
    except _LeftOutError as error:
        reason, value = error.args
        return RejectedFile(
            key=recording.key, reason=reason, file=recording.place, value=" ".join(value.split())
        )
    return RecordedClip(
        key=recording.key,
        wave=wave,
        text=text,
        language=recording.language,
        speaker=recording.speaker,
        source=recording.source,
        licence=recording.licence,
        file=recording.place,
    )


def load_recordings(recordings: Iterable[Offer], workers: int = 0) -> Iterator[Loaded]:
    """Read recordings in order, a few ahead of where they are needed.

    Args:
        recordings: listed as they are needed, never held together.
        workers: processes; 0 reads in this one.
    """
    return map_ahead(load_recording, recordings, workers)


class _LeftOutError(Exception):
    """A recording that cannot be used; args: reason, value."""


def _text(recording: Recording) -> str:
    if recording.text is None:
        raise _LeftOutError("no transcript", recording.missing_text)
    if isinstance(recording.text, str):
        return recording.text
    try:
        return recording.text.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise _LeftOutError("transcript is not UTF-8", f"{recording.text.name}: {error}") from error
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        raise _LeftOutError("transcript cannot be opened", str(error)) from error


def _wave(recording: Recording) -> np.ndarray:
    """Return [N] float32 of the recording's segment."""
    _check_file(recording.audio)
    is_segment = recording.start_sec is not None or recording.duration_sec is not None
    try:
        if is_segment:
            return _cut(_whole(recording.audio), recording)
        return load_wave(recording.audio, SAMPLE_RATE)
    except (ValueError, RuntimeError, TypeError, ArithmeticError) as error:
        raise _LeftOutError(_reason(recording.audio, error), _value(error)) from error


def _reason(audio: Path, error: Exception) -> str:
    """Return a fixed phrase."""
    if audio.suffix.lower() in UNDECODABLE:
        return "cannot be decoded here: convert to WAV or FLAC"
    kind = error.kind if isinstance(error, WaveError) else _UNREADABLE
    return f"audio {kind}".replace(f"audio {_UNREADABLE} as audio", f"audio {_UNREADABLE}")


def _value(error: Exception) -> str:
    """Return what a decoder found."""
    return error.reason if isinstance(error, WaveError) else f"{type(error).__name__}: {error}"


def _check_file(audio: Path) -> None:
    try:
        with audio.open("rb") as file:
            is_empty = not file.read(1)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _LeftOutError("audio file does not exist", str(audio)) from error
    except (PermissionError, IsADirectoryError) as error:
        raise _LeftOutError("audio file cannot be opened", str(error)) from error
    if is_empty:
        raise _LeftOutError("audio file is empty", f"{audio}: 0 bytes")


@lru_cache(maxsize=1)
def _whole(audio: Path) -> np.ndarray:
    """Return [N] float32; kept for the next segment of the same file."""
    return load_wave(audio, SAMPLE_RATE)


def _cut(wave: np.ndarray, recording: Recording) -> np.ndarray:
    """Return the segment of [N]; a duration without a start that is the whole's takes it whole."""
    total_sec = len(wave) / SAMPLE_RATE
    start_sec = recording.start_sec or 0.0
    duration_sec = recording.duration_sec
    end_sec = total_sec if duration_sec is None else start_sec + duration_sec
    if end_sec > total_sec + _ROUNDING_SEC or start_sec >= total_sec:
        raise _LeftOutError(
            "segment is not inside the audio",
            f"{start_sec:g} s to {end_sec:g} s of {recording.audio}, which has {total_sec:.3f} s",
        )
    if recording.start_sec is None and end_sec > total_sec - _ROUNDING_SEC:
        return wave
    return wave[round(start_sec * SAMPLE_RATE) : round(end_sec * SAMPLE_RATE)].copy()
