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
        above = [base, *base.absolute().parents[:_LEVELS]] if audio_dir is None else []
        places = [base / folder for folder in below] if audio_dir is None else [audio_dir]
        self._folders = list(dict.fromkeys([*places, *above]))
        self._by_last_part = audio_dir is not None
        self._found_in = self._folders[0]

    def find(self, name: str) -> Path:
        """Return the path of a file; where it should lie, if it is nowhere."""
        parts = PureWindowsPath(name) if "\\" in name else Path(name)
        path = Path(*parts.parts) if parts.parts else Path(name)
        for folder in (self._found_in, *self._folders):
            for part in (path, Path(path.name)) if self._by_last_part else (path,):
                inside = part.relative_to(part.anchor) if self._by_last_part else part
                if found := _there(folder / inside):
                    self._found_in = folder
                    return found
        return self._folders[0] / (path.name if self._by_last_part else path)


def _there(path: Path) -> Path | None:
    """Return the path of a file, with a usual suffix if it has none; None if there is none."""
    if os.path.isfile(path):
        return path
    for suffix in USUAL if not path.name.lower().endswith(USUAL) else ():
        if os.path.isfile(with_suffix := path.with_name(f"{path.name}{suffix}")):
            return with_suffix
    return None
