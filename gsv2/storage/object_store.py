"""Files and folders of object stores and whatever else fsspec knows.

A file is read by range requests of a few MB. Every block is a request of its own, so that no
connection stays idle while a lane is ahead, and so that two readers of one file never share a
position.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import fsspec
from fsspec.core import url_to_fs
from fsspec.registry import get_filesystem_class, known_implementations

from gsv2.storage.body import RefusedError, public_name

_BLOCK_BYTES = 4 << 20
_VERSION_KEYS = ("ETag", "etag", "md5Hash", "mtime", "LastModified", "last_modified", "created")
"""Names by which filesystems call what changes with the content."""


def open_filesystem(location: str) -> fsspec.AbstractFileSystem:
    """Return a filesystem of this process; fsspec's own cache of them does not survive a fork.

    Raises:
        ValueError: nothing is known of such URLs, or a package is missing.
    """
    scheme = location.partition("://")[0]
    try:
        get_filesystem_class(scheme)
    except ImportError as error:
        package = known_implementations[scheme]["class"].partition(".")[0]
        raise ValueError(
            f"{public_name(location)}: reading {scheme}:// needs a package that is missing; "
            f"`pip install {package}` ({error})"
        ) from error
    except ValueError as error:
        raise ValueError(
            f"{public_name(location)}: {scheme}:// is no kind of URL that fsspec knows"
        ) from error
    return url_to_fs(location, skip_instance_cache=True)[0]


class ObjectBody:
    """Content of an object; see `gsv2.storage.body.Body`.

    Args:
        filesystem: filesystem of this process.
        location: URL of the object.
        offset: byte to start at.

    Raises:
        FileNotFoundError: there is no such object.
        RefusedError: the credentials do not reach it.
        OSError: anything else.
    """

    can_seek = True

    def __init__(self, filesystem: fsspec.AbstractFileSystem, location: str, offset: int) -> None:
        self._filesystem = filesystem
        self._name = public_name(location)
        self._path = filesystem._strip_protocol(location)
        info = self._ask("info")
        self.start = offset
        self.size: int | None = info.get("size")
        versions = (info[key] for key in _VERSION_KEYS if info.get(key) is not None)
        self.version = next(map(str, versions), None)
        self._position = offset
        self._block = memoryview(b"")

    def read(self, limit: int) -> bytes:
        """See `Body.read`."""
        if not self._block:
            stop = self._position + _BLOCK_BYTES
            stop = stop if self.size is None else min(stop, self.size)
            if stop <= self._position:
                return b""
            self._block = memoryview(self._ask("cat_file", start=self._position, end=stop))
            self._position += len(self._block)
        chunk, self._block = self._block[:limit], self._block[limit:]
        return bytes(chunk)

    def close(self) -> None:
        """See `Body.close`."""
        self._block = memoryview(b"")

    def interrupt(self) -> None:
        """See `Body.interrupt`; fsspec offers no way, but a block is soon read."""

    def _ask(self, method: str, **options: Any) -> Any:
        with _os_errors():
            try:
                return getattr(self._filesystem, method)(self._path, **options)
            except FileNotFoundError as error:
                raise FileNotFoundError(f"{self._name} does not exist") from error
            except PermissionError as error:
                raise RefusedError(f"{self._name} may not be read: {error}") from error


class ObjectFolder:
    """A folder that is written and read whole file by whole file; paths are relative to it.

    Every method raises FileNotFoundError where there is nothing, and OSError with the folder's name
    where it is out of reach.

    Args:
        location: URL of the folder.

    Raises:
        ValueError: nothing is known of such URLs, or a package is missing.
    """

    def __init__(self, location: str) -> None:
        self.name = public_name(location)
        self.files = open_filesystem(location)
        self.root = self.files._strip_protocol(location)

    def folders_with(self, name: str) -> list[str]:
        """Return the folders inside that hold a file of this name."""
        self.files.invalidate_cache()
        found = self._ask("glob", self._path(f"*/{name}"))
        return [path.rstrip("/").rsplit("/", 2)[-2] for path in found]

    def names(self, folder: str = "") -> list[str]:
        """Return the names in a folder, sorted; none if it does not exist."""
        self.files.invalidate_cache()
        with suppress(FileNotFoundError):
            found = self._ask("ls", self._path(folder), detail=False)
            return sorted(path.rstrip("/").rpartition("/")[2] for path in found)
        return []

    def find(self) -> dict[str, tuple[int, str]]:
        """Return path -> size and version of all files below the folder; none without it."""
        self.files.invalidate_cache()
        found: dict[str, tuple[int, str]] = {}
        with suppress(FileNotFoundError):
            for path, info in sorted(self._ask("find", self.root, detail=True).items()):
                versions = (info[key] for key in _VERSION_KEYS if info.get(key) is not None)
                name = path.removeprefix(self.root).lstrip("/")
                found[name] = (int(info.get("size") or 0), str(next(versions, "")))
        return found

    def is_file(self) -> bool:
        """Tell whether it is no folder, but a file."""
        return self._ask("isfile", self.root)

    def size(self, path: str) -> int:
        """Return the bytes of a file."""
        self.files.invalidate_cache()
        return self._ask("info", self._path(path))["size"]

    def read(self, path: str) -> bytes:
        """Return the content of a small file."""
        return self._ask("cat_file", self._path(path))

    def fetch(self, path: str, file: Path) -> None:
        """Copy a file to this machine."""
        self._ask("get_file", self._path(path), str(file))

    def put(self, file: Path, path: str) -> None:
        """Copy a file of this machine into the folder."""
        self._ask("put_file", str(file), self._path(path))

    def make(self, folder: str) -> None:
        """Make a folder, where there are folders."""
        self._ask("makedirs", self._path(folder), exist_ok=True)

    def move(self, path: str, to: str) -> None:
        """Give a file another name."""
        self._ask("mv", self._path(path), self._path(to))

    def remove(self, path: str) -> None:
        """Remove a file, if it is there."""
        with suppress(FileNotFoundError):
            self._ask("rm_file", self._path(path))

    def remove_folder(self, folder: str) -> None:
        """Remove a folder with all that is in it, if it is there."""
        with suppress(FileNotFoundError):
            self._ask("rm", self._path(folder), recursive=True)

    def _path(self, path: str) -> str:
        return f"{self.root}/{path}" if path else self.root

    def _ask(self, method: str, *arguments: str, **options: Any) -> Any:
        with _os_errors(f"{self.name}: "):
            return getattr(self.files, method)(*arguments, **options)


@contextmanager
def _os_errors(prefix: str = "") -> Iterator[None]:
    """Raise as OSError what backends raise, which is whatever their client libraries do."""
    try:
        yield
    except (FileNotFoundError, RefusedError):
        raise
    except Exception as error:  # backends raise whatever their client libraries raise
        raise OSError(f"{prefix}{type(error).__name__}: {error}") from error
