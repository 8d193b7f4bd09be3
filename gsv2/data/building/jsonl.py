"""Recordings in a JSON-lines manifest: one audio file, or a segment of one, a line."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from gsv2.data.building.keys import safe_key
from gsv2.data.building.offered import Recording
from gsv2.data.corpus.manifest import CorpusError
from gsv2.text.language import canonical_language

FIELDS = {
    "audio": ("audio", "audio_filepath"),
    "text": ("text",),
    "language": ("language", "lang"),
    "speaker": ("speaker", "spk"),
    "start": ("offset", "start"),
    "duration": ("duration",),
    "end": ("end",),
    "key": ("key",),
    "source": ("source",),
    "licence": ("licence", "license"),
}
"""Field -> its names in a line; those of NeMo and lhotse mean the same. Times are seconds."""
_KNOWN = {name for names in FIELDS.values() for name in names}
_NUMBERS = frozenset({"start", "duration", "end"})
_LABELS = frozenset({"speaker", "key"})  # numbers are labels too
_NAMED_FAULTS = 5


def jsonl_recordings(
    manifest: Path, *, language: str | None = None, ignore: Collection[str] = ()
) -> Iterator[Recording]:
    """Yield the lines of a manifest: `{"audio", "text", "language", "speaker", ...}` (`FIELDS`).

    `audio` is a path, absolute or relative to the manifest. Other fields may be left out;
    `language` too, if it is given here. A line without `text` is yielded without one.

    Args:
        manifest: JSON lines.
        language: language of lines that have none.
        ignore: further fields that lines may have.

    Raises:
        CorpusError: no such file, or lines that cannot be understood; names line and field. The
            lines before it have been yielded.
    """
    if not manifest.is_file():
        raise CorpusError(f"manifest {manifest} does not exist or is no file")
    faults = []
    with manifest.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            place = f"{manifest}:{number}"
            try:
                yield _recording(manifest, place, _fields(line, ignore), language)
            except ValueError as error:
                faults.append(f"{place}: {error}")
    if faults:
        further = len(faults) - _NAMED_FAULTS
        more = f"; and {further} further lines" if further > 0 else ""
        raise CorpusError("; ".join(faults[:_NAMED_FAULTS]) + more)


def _fields(line: bytes, ignore: Collection[str]) -> dict[str, Any]:
    """Return field -> value of the fields that a line gives, with their types checked."""
    try:
        given = json.loads(line.decode("utf-8-sig"), object_pairs_hook=_without_repeats)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"line is not JSON in UTF-8: {error}") from error
    if not isinstance(given, dict):
        raise ValueError(f'line must be {{"audio": PATH, "text": ...}}, but is {line[:40]!r}')
    unknown = sorted(given.keys() - _KNOWN - set(ignore))
    if unknown:
        raise ValueError(
            f"field {unknown[0]} is not known (known: {', '.join(sorted(_KNOWN))}); name it with "
            "--ignore-field if it does not matter"
        )
    found = {}
    for field, names in FIELDS.items():
        values = {name: given[name] for name in names if given.get(name) is not None}
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
    manifest: Path, place: str, fields: Mapping[str, Any], language: str | None
) -> Recording:
    if not fields.get("audio"):
        raise ValueError("field audio (or audio_filepath) is missing")
    label = fields.get("language") or language
    if not label:
        raise ValueError("language is missing; add it or use --language")
    start, duration = _segment(fields)
    name = segment = fields["audio"]
    key = Path(name).with_suffix("").as_posix()
    if start is not None:
        end = "" if duration is None else f"-{round((start + duration) * 1000):08d}"
        segment, key = f"{name} from {start} s{end}", f"{key}-{round(start * 1000):08d}{end}"
    if "key" in fields:
        segment = key = str(fields["key"])
    return Recording(
        key=safe_key(key),
        name=segment,
        place=place,
        audio=manifest.parent / name,
        text=fields.get("text"),
        missing_text="field text is missing",
        start_sec=start,
        duration_sec=duration,
        language=canonical_language(label),
        speaker=str(fields.get("speaker", "")),
        source=fields.get("source", manifest.stem),
        licence=fields.get("licence", ""),
    )


def _segment(fields: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """Return start and duration in seconds; None where nothing is said."""
    start, duration, end = (fields.get(name) for name in ("start", "duration", "end"))
    if end is None:
        return start, duration
    begin = start or 0.0
    if end <= begin:
        raise ValueError(f"field end must be after the start ({begin} s), but is {end}")
    if duration is not None and abs(end - begin - duration) > 0.01:
        raise ValueError(f"field duration must be end - start ({end - begin} s), but is {duration}")
    return begin, end - begin
