"""Segments of long recordings in subtitles: `NAME.wav` beside `NAME[.LANGUAGE].srt` or `.vtt`."""

from __future__ import annotations

import html
import re
from pathlib import Path

from gsv2.data.building.readers.glance import Glance
from gsv2.data.building.readers.reader import Listed, ReadingOptions
from gsv2.data.building.readers.segments import Segment, segmented_recordings

_SUFFIXES = (".srt", ".vtt")
_TIME = r"(?:(\d+):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})"
_TIMES = re.compile(rf"\s*{_TIME}\s*-->\s*{_TIME}(?:\s.*)?")
_VOICE = re.compile(r"<v(?:\.[^\s>]*)?\s+([^>]+)>")
_TAG = re.compile(r"<[^>]*>|\{\\[^}]*\}")
_SOUND = re.compile(r"(?:\s*(?:\[[^\]]*\]|\([^)]*\)|[♪♫#*~-]+|♪[^♪]*♪)\s*)+")


class SubtitlesReader:
    """Subtitles in SubRip and WebVTT."""

    name = "subtitles"
    layout = "NAME.wav beside NAME.srt or NAME.vtt, also NAME.en.vtt"
    precedes: tuple[str, ...] = ()

    def recognise(self, look: Glance) -> str | None:
        """Return a recording beside its subtitles."""
        subtitles = {
            name.with_suffix("") for name in look.names if name.suffix.lower() in _SUFFIXES
        }
        subtitles |= {name.with_suffix("") for name in subtitles}
        found = next((name for name in look.audio() if name.with_suffix("") in subtitles), None)
        return f"{found} beside its subtitles" if found else None

    def recordings(self, source: Path, options: ReadingOptions) -> Listed:
        """Yield the cues of all recordings."""
        return segmented_recordings(source, _SUFFIXES, _segments, options)


def _segments(content: str, options: ReadingOptions) -> list[Segment]:
    """Return the cues; of one that repeats the end of the cue before, what is new."""
    segments: list[Segment] = []
    last = ""  # line of the cue before
    lines = content.splitlines()
    for number, line in enumerate(lines, start=1):
        if "-->" not in line:
            continue
        said = _said(lines, number)
        new = said[1:] if len(said) > 1 and said[0] == last else said
        last = said[-1] if said else last
        segments.append(_cue(number, line, new))
    return segments


def _said(lines: list[str], number: int) -> list[str]:
    """Return the lines of text behind line `number`, up to a blank one or the next cue."""
    said = []
    for line in lines[number:]:
        if not line.strip() or "-->" in line:
            break
        said.append(line.strip())
    if len(said) > 1 and said[-1].isdigit() and _followed_by_cue(lines, number + len(said)):
        said.pop()  # number of the next cue, where no blank line stands between
    return said


def _followed_by_cue(lines: list[str], place: int) -> bool:
    return place < len(lines) and "-->" in lines[place]


def _cue(number: int, times: str, said: list[str]) -> Segment:
    text = " ".join(said)
    voice = _VOICE.search(text)
    spoken = " ".join(html.unescape(_TAG.sub("", text)).split())
    start = end = 0.0
    fault = ("", "")
    if (match := _TIMES.fullmatch(times)) is None:
        fault = ("times of the segment cannot be read", times.strip())
    else:
        start, end = _seconds(match.groups()[:4]), _seconds(match.groups()[4:])
        if end <= start:
            fault = ("segment has no duration", times.strip())
    if not fault[0] and not spoken:
        fault = ("no transcript", f"cue at {times.strip()} is empty")
    elif not fault[0] and _SOUND.fullmatch(spoken):
        fault = ("cue names a sound, no speech", spoken)
    return Segment(
        line=number,
        start_sec=start,
        end_sec=end,
        text=spoken,
        speaker=voice[1].strip() if voice else "",
        fault=fault,
    )


def _seconds(parts: tuple[str | None, ...]) -> float:
    hours, minutes, seconds, fraction = (part or "0" for part in parts)
    return int(hours) * 3600 + int(minutes) * 60 + int(seconds) + int(fraction.ljust(3, "0")) / 1000
