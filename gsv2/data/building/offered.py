"""Recordings as they are offered: some to read, clips that were read, files left out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gsv2.data.building.encode import ClipRecord, Rejected


@dataclass(frozen=True, kw_only=True)
class Recording:
    """An audio file, or a segment of one, and what is known of it."""

    key: str
    """Unique after `unique_keys`."""
    name: str
    """What tells it from every other one: its path and segment, or a key that somebody gave."""
    place: str
    """Where the user finds it: the audio file, or FILE:LINE of a manifest."""
    audio: Path
    text: str | Path | None
    """What is said, or the file that says it; None: there is no transcript."""
    missing_text: str = ""
    """Without `text`: what was looked for, and what is there instead."""
    start_sec: float | None = None
    """Where the clip begins in the audio; None: at its start."""
    duration_sec: float | None = None
    """Duration of the clip; None: up to the end of the audio."""
    language: str
    speaker: str = ""
    source: str = ""
    licence: str = ""


@dataclass(frozen=True, kw_only=True)
class RecordedClip(ClipRecord):
    """A clip that was read from a file."""

    file: str
    """The audio file, or FILE:LINE of a manifest."""


@dataclass(frozen=True, kw_only=True)
class RejectedFile(Rejected):
    """A file or manifest line that is left out."""

    file: str = ""
    """The audio file, or FILE:LINE of a manifest."""


@dataclass(frozen=True)
class StoredClip:
    """A clip that an earlier, unfinished build has encoded."""

    offset: int
    """Where it lies in the journal."""
