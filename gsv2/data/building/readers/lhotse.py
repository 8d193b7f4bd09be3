"""Recordings in cuts of lhotse: JSON lines of `MonoCut`, each with its supervisions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gsv2.data.building.keys import safe_key
from gsv2.data.building.offered import LeftOutError, Recording, RejectedFile, left_out
from gsv2.data.building.readers.audio_paths import AudioPaths
from gsv2.data.building.readers.glance import Glance
from gsv2.data.building.readers.lines import Line, needed_text, text_lines
from gsv2.data.building.readers.reader import Listed, ReadingOptions, language_of
from gsv2.data.corpus.manifest import CorpusError

_SUFFIXES = (".jsonl", ".jsonl.gz", ".json")
_CUTS = ("MonoCut", "MultiCut")
_ROUNDING_SEC = 0.01


class LhotseReader:
    """Cuts of lhotse, one clip for each supervision; what is mixed or padded is left out."""

    name = "lhotse"
    layout = "cuts.jsonl[.gz]: MonoCut with recording and supervisions"
    precedes: tuple[str, ...] = ("jsonl",)

    def recognise(self, look: Glance) -> str | None:
        """Return a manifest whose first line is a cut."""
        cuts = _manifests(look)
        return f"{cuts[0].name} has cuts with supervisions" if cuts else None

    def recordings(self, source: Path, options: ReadingOptions) -> Listed:
        """Yield the supervisions of each cut, of one manifest or of all in a folder."""
        manifests = [source] if source.is_file() else _manifests(Glance(source))
        if not manifests:
            raise CorpusError(f"{source} has no cuts; `lhotse cut simple` makes them")
        for path in manifests:
            audio = AudioPaths(path.parent, options.audio_dir)
            for line in text_lines(path):
                yield from _of_line(line, audio, path, options)


def _manifests(look: Glance) -> list[Path]:
    return [path for path in look.tables(*_SUFFIXES) if _is_cut(path)]


def _is_cut(path: Path) -> bool:
    try:
        line = next(text_lines(path), None)
        fields = json.loads(line.text) if isinstance(line, Line) else None
    except (ValueError, RecursionError):
        return False
    if not isinstance(fields, dict):
        return False
    return fields.keys() >= {"supervisions", "recording"} or fields.get("type") in _CUTS


def _of_line(
    line: Line | RejectedFile, audio: AudioPaths, path: Path, options: ReadingOptions
) -> Iterator[Recording | RejectedFile]:
    if isinstance(line, RejectedFile):
        yield line
        return
    try:
        cut = json.loads(line.text)
    except (ValueError, RecursionError) as error:
        yield left_out(line.place, "line is not JSON", str(error))
        return
    if not isinstance(cut, dict) or cut.get("type", _CUTS[0]) not in _CUTS:
        kind = cut.get("type") if isinstance(cut, dict) else line.text[:40]
        yield left_out(line.place, "not a cut of one recording", f"{kind}; {_CUTS[0]} is read")
        return
    supervisions = cut.get("supervisions")
    if not isinstance(supervisions, list) or not supervisions:
        yield left_out(line.place, "no transcript", f"cut {cut.get('id')} has no supervision")
        return
    for supervision in supervisions:
        try:
            yield _recording(line.place, cut, supervision, audio, path, options)
        except LeftOutError as error:
            yield left_out(line.place, error.reason, error.value)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            what = f"cut {cut.get('id')}: {type(error).__name__} {error}"
            yield left_out(line.place, "cut cannot be understood", what)


def _recording(
    place: str,
    cut: Mapping[str, Any],
    supervision: Mapping[str, Any],
    audio: AudioPaths,
    path: Path,
    options: ReadingOptions,
) -> Recording:
    start, duration = _segment(cut, supervision)
    recording = cut["recording"]
    several = len(cut["supervisions"]) > 1
    name = str(supervision["id"] if several else cut["id"])
    whole = start is None and duration is None
    return Recording(
        key=safe_key(name),
        name=name,
        place=place,
        audio=audio.find(_source(recording)),
        text=needed_text(str(supervision.get("text") or "")),
        start_sec=None if whole else start,
        duration_sec=duration,
        channel=_channel(cut, supervision),
        language=language_of(str(supervision.get("language") or ""), options),
        speaker=str(supervision.get("speaker") or options.speaker),
        source=path.name.partition(".")[0],
    )


def _segment(
    cut: Mapping[str, Any], supervision: Mapping[str, Any]
) -> tuple[float | None, float | None]:
    """Return start and duration in the recording; (None, None) for the whole of it.

    A supervision starts relative to its cut, and may reach out of it: the cut bounds it.
    """
    begin = float(cut["start"])
    length = float(cut["duration"])
    start = max(float(supervision["start"]), 0.0)
    end = min(float(supervision["start"]) + float(supervision["duration"]), length)
    if end - start <= 0:
        raise LeftOutError("segment has no duration", f"supervision {supervision.get('id')}")
    total = float(cut["recording"]["duration"])
    if begin + start < _ROUNDING_SEC and begin + end > total - _ROUNDING_SEC:
        return None, None
    return begin + start, end - start


def _source(recording: Mapping[str, Any]) -> str:
    """Return the file of a recording.

    Raises:
        LeftOutError: it is in memory, behind a command or a URL, or in several files.
    """
    sources = recording["sources"]
    if len(sources) != 1 or sources[0]["type"] != "file":
        kinds = ", ".join(str(source["type"]) for source in sources)
        raise LeftOutError("audio is no single file", f"sources of type {kinds}")
    if recording.get("transforms"):
        raise LeftOutError("recording is transformed", str(recording["transforms"])[:80])
    return str(sources[0]["source"])


def _channel(cut: Mapping[str, Any], supervision: Mapping[str, Any]) -> int | None:
    """Return the channel that is heard, where the recording has several."""
    channels = cut["recording"].get("channel_ids") or cut["recording"]["sources"][0]["channels"]
    if len(channels) < 2:
        return None
    heard = supervision.get("channel", cut.get("channel"))
    heard = heard[0] if isinstance(heard, list) and len(heard) == 1 else heard
    return heard if isinstance(heard, int) else None
