"""Folders below an input, one at a time and in order, and the files that nobody named."""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Collection, Iterator
from hashlib import blake2b
from pathlib import Path

import numpy as np

from gsv2.data.building.offered import RejectedFile, left_out
from gsv2.data.building.suffixes import AUDIO
from gsv2.data.corpus.manifest import CorpusError

LINK = "link to a folder, which is not followed"
HIDDEN = "hidden file"
HIDDEN_FOLDER = "hidden folder"
NO_AUDIO = "no suffix of an audio file"


def walk_folders(root: Path) -> Iterator[tuple[Path, list[str]]]:
    """Yield each folder with the sorted names of its files, and of what is not gone into.

    These are its links to folders and its hidden folders, as file managers and tools leave them.

    Raises:
        CorpusError: it is none, or one below it cannot be listed.
    """
    if not root.is_dir():
        raise CorpusError(f"input folder {root} does not exist or is no folder")

    def stop(error: OSError) -> None:
        raise CorpusError(f"folder {error.filename} cannot be listed: {error.strerror}") from error

    for folder, below, files in os.walk(root, onerror=stop):
        links = [name for name in below if os.path.islink(os.path.join(folder, name))]
        hidden = [name for name in below if name.startswith(".")]
        below[:] = sorted(set(below) - set(hidden))
        yield Path(folder), sorted({*files, *links, *hidden})


def left_alone(path: Path, why: str) -> RejectedFile:
    """Return a file of the input that is not read."""
    return left_out(path, f"left alone: {why}", path.suffix or "no suffix")


def why_hidden(path: Path) -> str:
    """Return why what has a hidden name is left alone."""
    return HIDDEN_FOLDER if path.is_dir() else HIDDEN


def why_no_audio(path: Path) -> str:
    """Return why a file is none that holds sound; "" for one that does, by its suffix."""
    if path.name.startswith("."):
        return why_hidden(path)
    if path.is_dir():
        return LINK
    return "" if path.suffix.lower() in AUDIO else NO_AUDIO


class NamedFiles:
    """Files that a list names, at 8 bytes each."""

    def __init__(self) -> None:
        self._hashes = array("Q")

    def add(self, path: Path) -> Path:
        """Note a file, and return it."""
        self._hashes.append(_hash(path))
        return path

    def others(
        self, root: Path, tables: Collection[Path], why: Callable[[Path], str] | None = None
    ) -> Iterator[RejectedFile]:
        """Yield the files below a folder that were not named, as left alone.

        Args:
            root: the input.
            tables: files in it that were read.
            why: says why a file was not named, if there is more to say; "" = nothing.
        """
        named = np.sort(np.array(self._hashes, dtype=np.uint64))
        read = {_absolute(table) for table in tables}
        for folder, names in walk_folders(root):
            paths = [folder / name for name in names]
            hashes = np.array([_hash(path) for path in paths], dtype=np.uint64)
            places = np.searchsorted(named, hashes)
            is_named = np.zeros(len(paths), dtype=bool)
            inside = places < len(named)
            is_named[inside] = named[places[inside]] == hashes[inside]
            for path, skip in zip(paths, is_named.tolist(), strict=True):
                if not skip and _absolute(path) not in read:
                    said = why(path) if why is not None else ""
                    yield left_alone(path, said or why_no_audio(path) or "no row names it")


def _absolute(path: Path) -> str:
    return os.path.abspath(path)


def _hash(path: Path) -> int:
    name = os.path.abspath(path).encode(errors="surrogateescape")
    return int.from_bytes(blake2b(name, digest_size=8).digest(), "little")
