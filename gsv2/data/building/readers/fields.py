"""Fields of a row -> recording, whatever the row was written in."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gsv2.data.building.keys import safe_key
from gsv2.data.building.offered import AudioPart, LeftOutError, Recording
from gsv2.data.building.readers.lines import needed_text
from gsv2.data.building.readers.reader import ReadingOptions, language_of

_ROUNDING_SEC = 0.01
TIMES = ("start", "duration", "end")
"""Fields that are seconds."""


def recording_of(
    fields: Mapping[str, Any],
    audio: Path | AudioPart,
    name: str,
    place: str,
    options: ReadingOptions,
    *,
    source: str,
) -> Recording:
    """Return the recording of a row.

    Args:
        fields: any of `columns.NAMES`; times as numbers or text.
        audio: file, or part of one.
        name: what the row calls it.
        place: FILE:LINE of the row.
        source: name of the input, where the row says none.

    Raises:
        LeftOutError: text or language are missing, or times are none.
    """
    start, duration = segment_of({field: _seconds(fields, field) for field in TIMES})
    named, key = segment_name(name, start, duration)
    if identifier := str(fields.get("key") or "").strip():
        named = key = identifier
    return Recording(
        key=safe_key(key),
        name=named,
        place=place,
        audio=audio,
        text=needed_text(str(fields.get("text") or "")),
        start_sec=start,
        duration_sec=duration,
        language=language_of(str(fields.get("language") or ""), options),
        speaker=speaker_of(fields, options),
        source=str(fields.get("source") or source),
        licence=str(fields.get("licence") or ""),
    )


def speaker_of(fields: Mapping[str, Any], options: ReadingOptions) -> str:
    """Return the speaker of a row, as SOURCE/SPEAKER where the row names its source.

    Rows of several sources have speakers of one name that are not the same.
    """
    given = fields.get("speaker")
    speaker = "" if given is None else str(given).strip()
    source = str(fields.get("source") or "").strip()
    return f"{source}/{speaker}" if source and speaker else speaker or options.speaker


def segment_of(times: Mapping[str, float | None]) -> tuple[float | None, float | None]:
    """Return start and duration of a segment in seconds; None where nothing is said.

    Raises:
        ValueError: an end before the start, or one that contradicts the duration.
    """
    start, duration, end = (times.get(name) for name in TIMES)
    if end is None:
        return start, duration
    begin = start or 0.0
    if end <= begin:
        raise LeftOutError(
            "segment has no duration",
            f"field end must be after the start ({begin} s), but is {end}",
        )
    if duration is not None and abs(end - begin - duration) > _ROUNDING_SEC:
        raise LeftOutError(
            "times of the segment differ",
            f"field duration must be end - start ({end - begin} s), but is {duration}",
        )
    return begin, end - begin


def segment_name(name: str, start: float | None, duration: float | None) -> tuple[str, str]:
    """Return what tells a segment from others of its audio, and a key for it."""
    key = Path(name).with_suffix("").as_posix()
    if start is None:
        return name, key
    end = "" if duration is None else f"-{round((start + duration) * 1000):08d}"
    return f"{name} from {start} s{end}", f"{key}-{round(start * 1000):08d}{end}"


def _seconds(fields: Mapping[str, Any], field: str) -> float | None:
    given = fields.get(field)
    if given is None or given == "":
        return None
    try:
        value = float(given)
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value) or value < 0 or (field != "start" and value == 0):
        rule = "a number of seconds, positive"
        raise LeftOutError(
            "times of the segment cannot be read", f"{field} must be {rule}, but is {given!r}"
        )
    return value
