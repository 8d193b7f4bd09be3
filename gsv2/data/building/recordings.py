"""Recordings on disk -> clips to write: folders and manifests that people already have."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from gsv2.audio.errors import too_long_error
from gsv2.audio.segment import SoundReader, Span, open_recording
from gsv2.audio.wave import MAX_WAVE_SEC, WaveError, load_wave
from gsv2.data.building.encode import ClipRecord, Rejected
from gsv2.data.building.keys import KeyRegister
from gsv2.data.building.offered import (
    LeftOutError,
    RecordedClip,
    Recording,
    RejectedFile,
    StoredClip,
    left_out,
)
from gsv2.data.building.suffixes import UNDECODABLE
from gsv2.data.building.transcription import Transcription
from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.data.corpus.manifest import CorpusError
from gsv2.storage.mirror import RemoteFile

Offer = Recording | RejectedFile | StoredClip
Loaded = ClipRecord | Rejected | StoredClip
"""What was read; what needs no reading passes through."""

_SPECIAL = "a pipe, socket or device"
_UNREADABLE = "cannot be read"
_ROUNDING_SEC = 0.05  # times in manifests are rounded


def checked_recordings(
    listing: Callable[[], Iterable[Recording | RejectedFile]], num_listed: list[int] | None = None
) -> Iterator[Recording | RejectedFile]:
    """Yield the recordings of a listing, once all of it was found right, with keys of their own.

    Args:
        listing: called twice, so that nothing need be held: its faults come before any audio is
            read.
        num_listed: gets the number of all that is listed, before any is yielded.

    Raises:
        CorpusError: what the listing raises, or it was another the second time.
    """
    register = KeyRegister()
    listed = count = 0

    def first() -> Iterator[Recording | RejectedFile]:
        nonlocal listed
        for recording in listing():
            listed += 1
            yield recording

    register.note(first())
    if num_listed is not None:
        num_listed[:] = [listed]

    def again() -> Iterator[Recording | RejectedFile]:
        nonlocal count
        for recording in listing():
            count += isinstance(recording, Recording)
            yield recording

    yield from register.with_own_keys(again())
    if count != register.num_recordings:
        raise CorpusError(
            f"the input changed while it was read: {register.num_recordings} recordings at first, "
            f"then {count}; build again"
        )


def load_recording(
    recording: Offer,
    transcription: Transcription | None = None,
    max_sec: float = MAX_WAVE_SEC,
) -> Loaded:
    """Read the audio and the transcript of a recording, at `SAMPLE_RATE`.

    Args:
        recording: what was listed.
        transcription: writes down what has no transcript; None: that is left out.
        max_sec: what is longer is left out before it is decoded.

    Raises:
        OSError: the machine's fault, not the file's: too many open files, a disk that fails.
    """
    if not isinstance(recording, Recording):
        return recording
    try:
        if recording.text is None and transcription is not None:
            wave = recorded_wave(recording, max_sec)
            text = transcription.write_down(recording, wave)
        else:
            text = _text(recording)
            wave = recorded_wave(recording, max_sec)
    except LeftOutError as error:
        found = left_out(recording.place, error.reason, error.value, recording.key)
        return replace(found, measured=error.measured, threshold=error.threshold)
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


def _text(recording: Recording) -> str:
    if recording.text is None:
        raise LeftOutError("no transcript", recording.missing_text)
    if isinstance(recording.text, str):
        return recording.text
    encoding = recording.encoding
    if _is_special(recording.text):
        raise LeftOutError("transcript cannot be opened", f"{recording.text}: {_SPECIAL}")
    try:
        is_utf_8 = encoding.lower() in ("utf-8", "utf8")
        return recording.text.read_text(encoding="utf-8-sig" if is_utf_8 else encoding)
    except UnicodeDecodeError as error:
        reason = f"transcript is not {encoding.upper()}"
        raise LeftOutError(reason, f"{recording.text.name}: {error}") from error
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        raise LeftOutError("transcript cannot be opened", str(error)) from error


def recorded_wave(recording: Recording, max_sec: float = MAX_WAVE_SEC) -> np.ndarray:
    """Return [N] float32 of the recording's segment, at `SAMPLE_RATE`.

    Raises:
        LeftOutError: it cannot be used.
        OSError: the machine's fault, not the file's.
    """
    audio = recording.audio
    if isinstance(audio, RemoteFile):
        return _fetched_wave(recording, audio, max_sec)
    times = (recording.start_sec, recording.duration_sec, recording.channel)
    try:
        if not isinstance(audio, Path):
            return load_wave(audio.read(), SAMPLE_RATE, max_sec=max_sec)
        _check_file(audio)
        if any(value is not None for value in times):
            return _cut(open_recording(audio), recording, audio, max_sec)
        return load_wave(audio, SAMPLE_RATE, max_sec=max_sec)
    except LeftOutError:
        raise
    except (ValueError, RuntimeError, TypeError, ArithmeticError) as error:
        name = audio if isinstance(audio, Path) else Path(recording.name)
        limit = (error.measured, error.threshold) if isinstance(error, WaveError) else ()
        raise LeftOutError(_reason(name, error), _value(error), *limit) from error


def _fetched_wave(recording: Recording, audio: RemoteFile, max_sec: float) -> np.ndarray:
    try:
        path = audio.fetch()
    except FileNotFoundError as error:
        raise LeftOutError("audio file does not exist", audio.location) from error
    try:
        return recorded_wave(replace(recording, audio=path), max_sec)
    except LeftOutError as error:
        value = error.value.replace(str(path), audio.location)
        raise LeftOutError(error.reason, value, error.measured, error.threshold) from error


def _reason(audio: Path, error: Exception) -> str:
    """Return a fixed phrase."""
    if audio.suffix.lower() in UNDECODABLE:
        return "cannot be decoded here: convert to WAV or FLAC"
    kind = error.kind if isinstance(error, WaveError) else _UNREADABLE
    return f"audio {kind}".replace(f"audio {_UNREADABLE} as audio", f"audio {_UNREADABLE}")


def _value(error: Exception) -> str:
    """Return what a decoder found."""
    return error.reason if isinstance(error, WaveError) else f"{type(error).__name__}: {error}"


def _is_special(path: Path) -> bool:
    """Tell whether a path is neither a file nor a folder: who opens a pipe may wait for ever."""
    return path.exists() and not path.is_file() and not path.is_dir()


def _check_file(audio: Path) -> None:
    if _is_special(audio):
        raise LeftOutError("audio file cannot be opened", f"{audio}: {_SPECIAL}")
    try:
        with audio.open("rb") as file:
            is_empty = not file.read(1)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise LeftOutError("audio file does not exist", str(audio)) from error
    except (PermissionError, IsADirectoryError) as error:
        raise LeftOutError("audio file cannot be opened", str(error)) from error
    if is_empty:
        raise LeftOutError("audio file is empty", f"{audio}: 0 bytes")


def _cut(reader: SoundReader, recording: Recording, audio: Path, max_sec: float) -> np.ndarray:
    """Return the segment of a recording.

    A duration without a start that is about that of the whole takes it whole.
    """
    total_sec = reader.duration_sec(SAMPLE_RATE)
    start_sec = recording.start_sec or 0.0
    duration_sec = recording.duration_sec
    end_sec = total_sec if duration_sec is None else start_sec + duration_sec
    if end_sec > total_sec + _ROUNDING_SEC or start_sec >= total_sec:
        raise LeftOutError(
            "segment is not inside the audio",
            f"{start_sec:g} s to {end_sec:g} s of {audio}, which has {total_sec:.3f} s",
        )
    is_whole = recording.start_sec is None and end_sec > total_sec - _ROUNDING_SEC
    if is_whole and recording.channel is None:
        return load_wave(audio, SAMPLE_RATE, max_sec=max_sec)
    end_sec = total_sec if is_whole else min(end_sec, total_sec)
    if end_sec - start_sec > max_sec:
        raise too_long_error(end_sec - start_sec, max_sec)
    return reader.read(Span(start_sec, end_sec), SAMPLE_RATE, recording.channel)
