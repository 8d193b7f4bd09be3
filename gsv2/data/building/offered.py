"""Recordings as they are offered: some to read, clips that were read, files left out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gsv2.data.building.encode import ClipRecord, Rejected
from gsv2.storage.mirror import RemoteFile


class LeftOutError(ValueError):
    """A recording or a row that cannot be used.

    Args:
        reason: a fixed phrase, by which rejections are counted.
        value: what was found in place of what is needed.
        measured: what was measured, where the reason is a limit.
        threshold: the limit.
    """

    def __init__(
        self,
        reason: str,
        value: str,
        measured: float | None = None,
        threshold: float | None = None,
    ) -> None:
        super().__init__(f"{reason}: {value}")
        self.reason = reason
        self.value = value
        self.measured = measured
        self.threshold = threshold


class AudioPart(Protocol):
    """Audio inside another file: a member of a tar, a cell of a table.

    It goes to other processes, so it can be pickled, and is a dataclass, whose fields tell it from
    every other one.
    """

    @property
    def path(self) -> Path:
        """File that holds it."""

    def read(self) -> bytes:
        """Return the content of the audio file.

        Raises:
            LeftOutError: it is not there.
        """


@dataclass(frozen=True, kw_only=True)
class Recording:
    """An audio file, or a segment of one, and what is known of it."""

    key: str
    """Unique after `unique_keys`."""
    name: str
    """What tells it from every other one: its path and segment, or a key that somebody gave."""
    place: str
    """Where the user finds it: the audio file, or FILE:LINE of a manifest."""
    audio: Path | AudioPart | RemoteFile
    text: str | Path | None
    """What is said, or the file that says it; None: there is no transcript."""
    missing_text: str = ""
    """Without `text`: what was looked for, and what is there instead."""
    start_sec: float | None = None
    """Where the clip begins in the audio; None: at its start."""
    duration_sec: float | None = None
    """Duration of the clip; None: up to the end of the audio."""
    channel: int | None = None
    """Channel of the audio that the clip is in, from 0; None: the mean of all."""
    encoding: str = "utf-8"
    """Encoding of `text`, where it is a file."""
    language: str
    speaker: str = ""
    source: str = ""
    licence: str = ""

    def __str__(self) -> str:
        return self.place


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


def left_out(place: str | Path, reason: str, value: str, key: str = "") -> RejectedFile:
    """Return a file or row that is left out, its value as one line."""
    return RejectedFile(key=key, reason=reason, file=str(place), value=" ".join(value.split()))


@dataclass(frozen=True)
class StoredClip:
    """A clip that an earlier, unfinished build has encoded."""

    file: int
    """Number of the file of the journal..."""
    offset: int
    """...and the byte in it where the clip begins."""
