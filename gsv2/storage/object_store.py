"""Files of object stores and whatever else fsspec knows, by range requests of a few MB.

Every block is a request of its own, so that no connection stays idle while a lane is ahead, and
so that two readers of one file never share a position.
"""

from __future__ import annotations

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
        try:
            return getattr(self._filesystem, method)(self._path, **options)
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{self._name} does not exist") from error
        except PermissionError as error:
            raise RefusedError(f"{self._name} may not be read: {error}") from error
        except Exception as error:  # backends raise whatever their client libraries raise
            raise OSError(f"{type(error).__name__}: {error}") from error
