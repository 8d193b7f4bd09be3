"""Paths of audio that lists name: as they say, or where the files lie now."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path, PureWindowsPath

from gsv2.data.building.suffixes import USUAL

_LEVELS = 3  # folders above a list that its paths may start from


class AudioPaths:
    """Finder of the files that one list names.

    People move lists and audio, and write them on other systems: a name is sought below the
    folders where names before it were found.

    Args:
        base: folder of the list.
        audio_dir: folder of the audio, if the user says it; paths are then sought there, whole or
            by their last part.
        below: folders below `base` where the layout has its audio.
    """

    def __init__(self, base: Path, audio_dir: Path | None, below: Sequence[str] = ("",)) -> None:
        self._by_last_part = audio_dir is not None
        places = [base / folder for folder in below] if audio_dir is None else [audio_dir]
        above = [base, *base.absolute().parents[:_LEVELS]] if audio_dir is None else []
        self._folders = [str(folder) for folder in places]
        self._above = [str(folder) for folder in above]  # until a file is found below one
        self._expected = self._folders[0]

    def find(self, name: str) -> Path:
        """Return the path of a file; where it should lie, if it is nowhere."""
        path = PureWindowsPath(name).as_posix() if "\\" in name else name
        parts = (path.lstrip("/"), path.rpartition("/")[2]) if self._by_last_part else (path,)
        for folder in (*self._folders, *self._above):
            for part in parts:
                if found := _there(os.path.join(folder, part)):
                    self._prefer(folder)
                    return Path(found)
        return Path(os.path.join(self._expected, parts[-1]))

    def _prefer(self, folder: str) -> None:
        """Look first where a file was, and above the list no further than there."""
        if folder != self._folders[0]:
            if folder not in self._folders:
                self._above = []
            self._folders = [folder, *(other for other in self._folders if other != folder)]


def _there(path: str) -> str | None:
    """Return the path of a file, with a usual suffix if it has none; None if there is none."""
    if os.path.isfile(path):
        return path
    for suffix in USUAL if not path.lower().endswith(USUAL) else ():
        if os.path.isfile(f"{path}{suffix}"):
            return f"{path}{suffix}"
    return None
