"""Mirror of a remote folder: its small files whole, and a place without content for each large one.

What reads folders of this machine reads a mirror; a large file is fetched when its content is
needed, and thrown away when the next one is. Its place has the size that the file has, and a time
that changes with it, but takes nothing of the disk.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

from gsv2.files import ASIDE, atomic_file
from gsv2.storage.body import public_name
from gsv2.storage.object_store import ObjectFolder

IsLarge = Callable[[PurePosixPath], bool]
"""Tells by its name whether a file is fetched only when it is needed."""


@dataclass(frozen=True)
class RemoteFile:
    """A large file, and its place in a mirror."""

    path: Path
    """Its place."""
    folder: str
    """URL of the remote folder..."""
    name: str
    """...and the path of the file below it."""

    @property
    def location(self) -> str:
        """URL of the file, without credentials."""
        return f"{public_name(self.folder)}/{self.name}"

    def fetch(self) -> Path:
        """Return a copy on this machine, which lasts until this process fetches another one.

        Raises:
            FileNotFoundError: it is there no more.
            OSError: it is out of reach.
        """
        return _fetched(self.folder, self.name, self.path.stat().st_mtime_ns).path


@dataclass(frozen=True)
class RemoteMirror:
    """A mirror on this machine."""

    url: str
    """The remote folder, or the file in it that was named."""
    folder: str
    """URL of the remote folder."""
    root: Path
    """Folder of the mirror."""
    source: Path
    """What stands for `url`: the folder of the mirror, or a file in it."""
    is_large: IsLarge

    def file(self, path: Path) -> RemoteFile | None:
        """Return what a path of the mirror stands for; None for a file that is there whole."""
        if not path.is_relative_to(self.root) or not path.is_file():
            return None
        name = path.relative_to(self.root)
        large = self.is_large(PurePosixPath(name))
        return RemoteFile(path, self.folder, name.as_posix()) if large else None

    def public_text(self, text: str) -> str:
        """Return a text with the remote folder's name in place of the mirror's."""
        return text.replace(str(self.root), public_name(self.folder))


def make_mirror(url: str, root: Path, is_large: IsLarge) -> RemoteMirror:
    """Make the mirror of a remote folder, or of the one that a file lies in.

    Files that have not changed since it was made before are not fetched again.

    Args:
        url: folder or file, of any kind that fsspec can list.
        root: folder that gets the mirror, under the remote folder's own name; what the remote
            folder lacks is removed from it.
        is_large: which files are fetched when they are needed.

    Raises:
        FileNotFoundError: there is nothing.
        OSError: it is out of reach.
        ValueError: a kind of URL that cannot be read.
    """
    url = url.rstrip("/")
    remote = ObjectFolder(url)
    name = ""
    if remote.is_file():
        url_of_folder, _, name = url.rpartition("/")
        remote = ObjectFolder(url_of_folder)
    else:
        url_of_folder = url
    root = root / url_of_folder.rpartition("/")[2]  # readers take the name for the source
    found = remote.find()
    if not found:
        raise FileNotFoundError(f"{public_name(url)} holds no file")
    for path, (size, version) in found.items():
        place = root / PurePosixPath(path)
        if ".." in PurePosixPath(path).parts:
            raise ValueError(f"{public_name(url)}: {path} leaves the folder")
        time = zlib.crc32(version.encode())  # any that changes with the content
        stat = place.stat() if place.exists() else None
        if stat is not None and (stat.st_size, int(stat.st_mtime)) == (size, time):
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        if is_large(PurePosixPath(path)):
            with place.open("ab") as file:
                file.truncate(size)
        else:
            with atomic_file(place, writer=str(os.getpid())) as aside:
                remote.fetch(path, aside)
        os.utime(place, (time, time))
    for place in root.rglob("*"):
        is_known = place.relative_to(root).as_posix() in found or place.name.startswith(ASIDE)
        if place.is_file() and not is_known:
            place.unlink(missing_ok=True)
    return RemoteMirror(url, url_of_folder, root, root / name if name else root, is_large)


class _Fetched:
    """A file that is removed with the object."""

    def __init__(self, folder: str, name: str) -> None:
        aside = tempfile.mkdtemp(prefix="gsv2-")
        weakref.finalize(self, shutil.rmtree, aside, ignore_errors=True)
        self.path = Path(aside) / PurePosixPath(name).name
        ObjectFolder(folder).fetch(name, self.path)


@lru_cache(maxsize=1)
def _fetched(folder: str, name: str, changed: int) -> _Fetched:
    return _Fetched(folder, name)
