"""Recordings in a JSON-lines manifest: one audio file, or a segment of one, a line."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from gsv2.data.building.keys import safe_key
from gsv2.data.building.offered import Recording
from gsv2.data.building.readers.audio_paths import AudioPaths
from gsv2.data.building.readers.fields import segment_name, segment_of, speaker_of
from gsv2.data.building.readers.glance import Glance, first_lines
from gsv2.data.building.readers.reader import Listed, ReadingOptions, canonical_language
from gsv2.data.corpus.manifest import CorpusError

FIELDS = {
    "audio": ("audio", "audio_filepath", "file_name", "wav"),
    "text": ("text", "transcription", "sentence"),
    "language": ("language", "lang"),
    "speaker": ("speaker", "spk"),
    "start": ("offset", "start"),
    "duration": ("duration",),
    "end": ("end",),
    "key": ("key", "id"),
    "source": ("source",),
    "licence": ("licence", "license"),
}
"""Field -> its names in a line; those of NeMo and lhotse mean the same. Times are seconds."""
_NUMBERS = frozenset({"start", "duration", "end"})
_LABELS = frozenset({"speaker", "key"})  # numbers are labels too
_NAMED_FAULTS = 5
_SUFFIXES = (".jsonl", ".json", ".ndjson", ".manifest")


class JsonlReader:
    """Manifests of NeMo, of Hugging Face's AudioFolder, and ours."""

    name = "jsonl"
    layout = "JSON lines with audio, text, and speaker, language, offset, duration where known"
    precedes: tuple[str, ...] = ()

    def recognise(self, look: Glance) -> str | None:
        """Return the only file of JSON lines with audio that there is."""
        manifests = [path for path in look.tables(*_SUFFIXES) if _names_audio(path)]
        if len(manifests) == 1:
            return f"{manifests[0].name} has lines of JSON with audio"
        return None

    def recordings(self, source: Path, options: ReadingOptions) -> Listed:
        """Yield the lines of a manifest, or of the one in a folder."""
        if source.is_dir():
            manifests = [path for path in Glance(source).tables(*_SUFFIXES) if _names_audio(path)]
            if len(manifests) != 1:
                raise CorpusError(f"{source} must hold one manifest, but holds {len(manifests)}")
            source = manifests[0]
        return jsonl_recordings(source, options=options)


def _names_audio(path: Path) -> bool:
    for line in first_lines(path, 1):
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError):
            return False
        return isinstance(fields, dict) and any(name in fields for name in FIELDS["audio"])
    return False


def jsonl_recordings(
    manifest: Path,
    *,
    language: str | None = None,
    ignore: Collection[str] = (),
    options: ReadingOptions | None = None,
) -> Iterator[Recording]:
    """Yield the lines of a manifest: `{"audio", "text", "language", "speaker", ...}` (`FIELDS`).

    `audio` is a path, absolute or relative to the manifest. Other fields may be left out;
    `language` too, if it is given here. A line without `text` is yielded without one.

    Args:
        manifest: JSON lines.
        language: language of lines that have none.
        ignore: further fields that lines may have.
        options: what the user says, these two among it.

    Raises:
        CorpusError: no such file, or lines that cannot be understood; names line and field. The
            lines before it have been yielded.
    """
    if not manifest.is_file():
        raise CorpusError(f"manifest {manifest} does not exist or is no file")
    options = options or ReadingOptions(language=language, ignore=ignore)
    names = {
        **FIELDS,
        **{field: (name,) if name else () for field, name in options.columns.items()},
    }
    audio = AudioPaths(manifest.parent, options.audio_dir)
    faults = []
    with manifest.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            place = f"{manifest}:{number}"
            try:
                fields = _fields(line, names, options.ignore)
                yield _recording(manifest, place, fields, audio, options)
            except ValueError as error:
                faults.append(f"{place}: {error}")
    if faults:
        further = len(faults) - _NAMED_FAULTS
        more = f"; and {further} further lines" if further > 0 else ""
        raise CorpusError("; ".join(faults[:_NAMED_FAULTS]) + more)


def _fields(
    line: bytes, names: Mapping[str, tuple[str, ...]], ignore: Collection[str]
) -> dict[str, Any]:
    """Return field -> value of the fields that a line gives, with their types checked."""
    try:
        given = json.loads(line.decode("utf-8-sig"), object_pairs_hook=_without_repeats)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"line is not JSON in UTF-8: {error}") from error
    if not isinstance(given, dict):
        raise ValueError(f'line must be {{"audio": PATH, "text": ...}}, but is {line[:40]!r}')
    given = {name: value for name, value in given.items() if name not in ignore}
    known = {name for names_of_field in names.values() for name in names_of_field}
    if unknown := sorted(given.keys() - known):
        raise ValueError(
            f"field {unknown[0]} is not known (known: {', '.join(sorted(known))}); name it with "
            "--ignore-field if it does not matter"
        )
    found = {}
    for field, names_of_field in names.items():
        values = {name: given[name] for name in names_of_field if given.get(name) is not None}
        for name, value in values.items():
            _check(field, name, value)
        if len(set(values.values())) > 1:
            raise ValueError(f"fields {' and '.join(values)} differ: {list(values.values())}")
        if values:
            found[field] = next(iter(values.values()))
    return found


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("a field stands twice in the line")
    return fields


def _check(field: str, name: str, value: object) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if field in _NUMBERS:
        if not isinstance(value, int | float) or not is_number or not math.isfinite(value):
            raise ValueError(f"field {name} must be a number of seconds, but is {value!r}")
        if value < 0 or (field != "start" and value == 0):
            raise ValueError(f"field {name} must be positive, but is {value!r}")
    elif not isinstance(value, str) and not (field in _LABELS and type(value) is int):
        raise ValueError(f"field {name} must be text, but is {value!r}")


def _recording(
    manifest: Path,
    place: str,
    fields: Mapping[str, Any],
    audio: AudioPaths,
    options: ReadingOptions,
) -> Recording:
    if not fields.get("audio"):
        raise ValueError("field audio (or audio_filepath) is missing")
    label = fields.get("language") or options.language
    if not label:
        raise ValueError("language is missing; add it or use --language")
    start, duration = segment_of(fields)
    name, key = segment_name(fields["audio"], start, duration)
    if "key" in fields:
        name = key = str(fields["key"])
    return Recording(
        key=safe_key(key),
        name=name,
        place=place,
        audio=audio.find(fields["audio"]),
        text=fields.get("text"),
        missing_text="field text is missing",
        start_sec=start,
        duration_sec=duration,
        language=canonical_language(label),
        speaker=speaker_of(fields, options),
        source=fields.get("source", manifest.stem),
        licence=fields.get("licence", ""),
    )
