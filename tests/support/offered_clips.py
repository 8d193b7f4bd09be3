"""Clips that a build would be offered of an input, and faults that are put into one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from gsv2.data.building.encode import Rejected
from gsv2.data.building.readers.choice import choose_reader
from gsv2.data.building.readers.folder import FolderReader
from gsv2.data.building.readers.reader import ReadingOptions
from gsv2.data.building.recordings import checked_recordings, load_recording
from gsv2.data.process_pool import ProcessPool
from tests.support.layouts import LAYOUTS
from tests.support.said import SAID


def load_recordings(recordings: Iterable, workers: int = 0) -> Iterator:
    """Read recordings in order, a few ahead of where they are needed, as a build does."""
    return ProcessPool(workers).map(load_recording, recordings)


def folder_recordings(root: Path, *, language: str | None = None) -> Iterator:
    """Yield the audio files below a folder, and every other file as left alone."""
    return FolderReader().recordings(root, ReadingOptions(language=language))


def offered(source: Path, name: str, **options: object) -> list:
    """Return the clips of an input that a build would be offered."""
    reader = choose_reader(source, name).reader
    listing = partial(reader.recordings, source, ReadingOptions(**options))
    return list(load_recordings(checked_recordings(listing)))


def reasons(clips: list) -> list[tuple[str, str]]:
    """Return the name and the reason of each clip that was left out."""
    return [(Path(clip.file).name, clip.reason) for clip in clips if isinstance(clip, Rejected)]


def append(path: Path, content: bytes) -> None:
    path.write_bytes(path.read_bytes().rstrip(b"\n") + b"\n" + content + b"\n")


class Fault(NamedTuple):
    """What is added to an input, and what is to be said of it."""

    row: bytes
    reason: str
    value: str


def check_faults(name: str, table: str, faults: Sequence[Fault], root: Path) -> None:
    """Check that each row which is no recording costs itself alone, and is named.

    Args:
        name: layout.
        table: file of the rows, below `root`.
        faults: rows that are added.
        root: empty folder.
    """
    layout = LAYOUTS[name]
    layout.write(root)
    good = len((root / table).read_text("utf-8-sig").strip().splitlines())
    for fault in faults:
        append(root / table, fault.row)
    clips = offered(root / table, name, language=layout.language)
    named = [clip for clip in clips if isinstance(clip, Rejected)]
    assert len(clips) - len(named) == len(SAID)
    assert [clip.reason for clip in named] == [fault.reason for fault in faults]
    for number, (clip, fault) in enumerate(zip(named, faults, strict=True), start=good + 1):
        assert clip.file == f"{root / table}:{number}"
        assert fault.value in clip.value
        assert "\n" not in clip.value
