"""First look at an input, in bounded time: names of some of its files, first lines of one."""

from __future__ import annotations

import os
from collections import deque
from functools import cached_property
from pathlib import Path, PurePosixPath

from gsv2.data.building.suffixes import AUDIO
from gsv2.data.corpus.manifest import CorpusError

_FOLDERS = 400
"""Folders that are looked into, those above before those below."""
_FILES_OF_A_FOLDER = 100
"""Files of a folder that are looked at, beside those that are no audio."""
_OTHER_FILES = 1000
"""Files of a folder beside audio that are looked at."""
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
"""Byte order marks of UTF-16."""
_HEAD_BYTES = 1 << 16


class Glance:
    """What is seen of an input before it is read: never all of a large one."""

    def __init__(self, source: Path) -> None:
        """Look at a file or folder.

        Raises:
            CorpusError: there is none.
        """
        self.source = source
        if not source.exists():
            raise CorpusError(f"input {source} does not exist")

    @property
    def is_folder(self) -> bool:
        """Whether the input is a folder."""
        return self.source.is_dir()

    @cached_property
    def names(self) -> tuple[PurePosixPath, ...]:
        """Paths of files below the folder, relative to it, sorted; the name of a file alone."""
        if not self.is_folder:
            return (PurePosixPath(self.source.name),)
        found: list[str] = []
        waiting = deque([""])
        for _ in range(_FOLDERS):
            if not waiting:
                break
            self._look_into(waiting.popleft(), found, waiting)
        return tuple(map(PurePosixPath, sorted(found)))

    def audio(self) -> list[PurePosixPath]:
        """Return the paths of audio files."""
        return [name for name in self.names if name.suffix.lower() in AUDIO]

    def tables(self, *suffixes: str) -> list[Path]:
        """Return the files with these suffixes in the folder itself, or the input if it is one."""
        places = [self.path(name) for name in self.names if len(name.parts) == 1]
        return [path for path in places if path.name.lower().endswith(suffixes)]

    def path(self, name: PurePosixPath) -> Path:
        """Return where a file of `names` lies."""
        return self.source / name if self.is_folder else self.source

    def _look_into(self, folder: str, found: list[str], waiting: deque[str]) -> None:
        num_audio = num_others = 0
        try:
            with os.scandir(self.source / folder) as entries:
                for entry in entries:
                    name = f"{folder}/{entry.name}".lstrip("/")
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        if len(waiting) < _FOLDERS:
                            waiting.append(name)
                    elif Path(entry.name).suffix.lower() in AUDIO:
                        num_audio += 1
                        if num_audio <= _FILES_OF_A_FOLDER:
                            found.append(name)
                    elif num_others < _OTHER_FILES:
                        num_others += 1
                        found.append(name)
        except OSError as error:
            raise CorpusError(f"folder {error.filename} cannot be listed: {error}") from error


def first_lines(path: Path, count: int = 20, encoding: str = "utf-8") -> list[str]:
    """Return up to `count` lines at the head of a file that are not blank, as far as 64 KiB go."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if len(head) == _HEAD_BYTES:
        head = head.rpartition(b"\n")[0]
    if head.startswith(UTF_16):
        encoding = "utf-16"
    text = head.decode("utf-8-sig" if encoding == "utf-8" else encoding, "replace")
    lines = (line.rstrip("\r") for line in text.split("\n"))
    return [line for line in lines if line.strip()][:count]


def most(lines: list[str], fits: object) -> bool:
    """Tell whether more than half of the lines fit."""
    assert callable(fits)
    return bool(lines) and sum(bool(fits(line)) for line in lines) > len(lines) / 2
