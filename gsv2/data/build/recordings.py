"""Recordings on disk -> clips to write: folders and manifests that people already have."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from gsv2.audio.wave import WaveError, load_wave
from gsv2.data.build.encode import ClipRecord, Rejected
from gsv2.data.manifest import CorpusError
from gsv2.data.schema import SAMPLE_RATE

AUDIO_SUFFIXES = frozenset({".flac", ".wav", ".ogg", ".opus", ".mp3"})

_UNSAFE = re.compile(r"[^\w/-]+")
_AHEAD = 4  # recordings in flight for each process


@dataclass(frozen=True, kw_only=True)
class Recording:
    """An audio file and what is known of it."""

    key: str
    audio: Path
    text: str | None
    """None: the transcript is missing."""
    language: str
    speaker: str = ""
    source: str = ""
    licence: str = ""


def folder_recordings(root: Path, *, language: str | None = None) -> Iterator[Recording]:
    """Yield the audio files below a folder, each with a text file of the same name.

    The speaker is the name of the file's folder, the language the name of the folder above it.

    Args:
        root: `LANGUAGE/SPEAKER/NAME.wav`, or `SPEAKER/NAME.wav` with `language`.
        language: of all files.

    Raises:
        CorpusError: no such folder, or a file whose place does not tell its language.
    """
    if not root.is_dir():
        raise CorpusError(f"input folder {root} does not exist")
    for audio in sorted(root.rglob("*")):
        if audio.suffix.lower() not in AUDIO_SUFFIXES:
            continue
        folders = audio.relative_to(root).parts[:-1]
        if language is None and len(folders) < 2:
            raise CorpusError(
                f"{audio}: a folder input must be LANGUAGE/SPEAKER/NAME.wav, or name the language "
                "of all files with --language"
            )
        yield Recording(
            key=safe_key(audio.relative_to(root).with_suffix("").as_posix()),
            audio=audio,
            text=_transcript(audio.with_suffix(".txt")),
            language=language or folders[-2],
            speaker=folders[-1] if folders else "",
            source=root.name,
        )


def jsonl_recordings(manifest: Path, *, language: str | None = None) -> Iterator[Recording]:
    """Yield the lines of a manifest: `{"audio", "text", "language", "speaker", ...}`.

    `audio` is a path, absolute or relative to the manifest. `speaker`, `key`, `source`, `licence`
    may be left out; `language` too, if it is given here.

    Args:
        manifest: JSON lines.
        language: of lines that have none.

    Raises:
        CorpusError: no such file, or a line that lacks something; names the line.
    """
    if not manifest.is_file():
        raise CorpusError(f"manifest {manifest} does not exist")
    with manifest.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            where = f"{manifest}:{number}"
            try:
                fields = {"language": language, **json.loads(line)}
                audio, tag = Path(fields["audio"]), fields["language"]
            except (ValueError, KeyError, TypeError) as error:
                raise CorpusError(f'{where} must be {{"audio": PATH, "text": ...}}') from error
            if not isinstance(tag, str):
                raise CorpusError(f"{where}: language is missing; add it or use --language")
            yield Recording(
                key=safe_key(str(fields.get("key", audio.with_suffix("").as_posix()))),
                audio=manifest.parent / audio,
                text=fields.get("text"),
                language=tag,
                speaker=str(fields.get("speaker") or ""),
                source=str(fields.get("source", manifest.stem)),
                licence=str(fields.get("licence", "")),
            )


FORMATS = {"folder": folder_recordings, "jsonl": jsonl_recordings}
"""Input format -> function of (path, language) that lists recordings."""


def safe_key(name: str) -> str:
    """Return a name as a key that webdataset reads back: no dots, no blanks, no leading `/`."""
    return _UNSAFE.sub("_", name).strip("/")


def load_recording(recording: Recording) -> ClipRecord | Rejected:
    """Read the audio of a recording, at `SAMPLE_RATE`."""
    if recording.text is None:
        return Rejected(key=recording.key, reason="transcript missing")
    try:
        wave = load_wave(recording.audio, SAMPLE_RATE)
    except WaveError:
        return Rejected(key=recording.key, reason="audio missing or unreadable")
    return ClipRecord(
        key=recording.key,
        wave=wave,
        text=recording.text,
        language=recording.language,
        speaker=recording.speaker,
        source=recording.source,
        licence=recording.licence,
    )


def load_recordings(
    recordings: Iterable[Recording], workers: int = 0
) -> Iterator[ClipRecord | Rejected]:
    """Read recordings in order, a few ahead of where they are needed.

    Args:
        recordings: listed as they are needed, never held together.
        workers: processes; 0 reads in this one.
    """
    if workers == 0:
        yield from map(load_recording, recordings)
        return
    waiting: deque[Future[ClipRecord | Rejected]] = deque()
    with ProcessPoolExecutor(workers) as pool:
        for recording in recordings:
            waiting.append(pool.submit(load_recording, recording))
            if len(waiting) >= _AHEAD * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _transcript(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (FileNotFoundError, UnicodeDecodeError):
        return None
