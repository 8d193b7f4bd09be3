"""Storage of files, wherever they lie: local folders, URLs, shell commands."""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import fsspec

from gsv2.lru import LruCache
from gsv2.storage.body import public_name
from gsv2.storage.command import PREFIX, CommandBody, fill_in
from gsv2.storage.config import RemoteConfig
from gsv2.storage.http import HttpBody, make_session
from gsv2.storage.object_store import ObjectBody, open_filesystem
from gsv2.storage.stream import RemoteStream

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_HTTP = ("http://", "https://")
_FILE = "file://"
MAX_FILE_BYTES = 1 << 30
"""Most bytes of a file that is read whole from a server."""
_RECENT_BYTES = 64 << 20
"""Small remote files that a process keeps, so that index and readers fetch each of them once."""


class Storage:
    """Reads files, wherever they are.

    A location is a local path, a URL, or `pipe:COMMAND`. Connections belong to the process that
    opened them: a forked worker makes its own.

    Args:
        config: retries, time-outs and rates of remote reads; None = its defaults.
        allow_pipe: whether commands may run (`data.allow_pipe`).
    """

    def __init__(self, config: RemoteConfig | None = None, *, allow_pipe: bool = False) -> None:
        self.config = config or RemoteConfig()
        self.allow_pipe = allow_pipe
        self._by_process: dict[int, _Clients] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_by_process": {}}

    def join(self, root: str, name: str) -> str:
        """Return the location of a file in a folder.

        Args:
            root: folder, URL (its query stays behind the path), or `pipe:COMMAND` with `{}`.
            name: relative path.

        Raises:
            ValueError: a command without `{}`.
        """
        if root.startswith(PREFIX):
            return fill_in(root, name)
        if root.startswith(_HTTP):
            parts = urlsplit(root)
            path = f"{parts.path.rstrip('/')}/{quote(name)}"
            return urlunsplit(parts._replace(path=path))
        return f"{root.removeprefix(_FILE).rstrip('/')}/{name}"

    def is_local(self, location: str) -> bool:
        """Tell whether a location is a path of this machine."""
        return not location.startswith(PREFIX) and not _URL.match(location)

    def read(self, location: str, max_bytes: int = MAX_FILE_BYTES) -> bytes:
        """Return a small file; the last ones that came from afar are remembered.

        Args:
            max_bytes: largest number of bytes that is taken from a server, which may never end.

        Raises:
            FileNotFoundError: there is none.
            OSError: it cannot be read, after all retries, or is longer than `max_bytes`.
            ValueError: a command that is not allowed, or a kind of URL that cannot be read.
        """
        if self.is_local(location):
            return Path(location).read_bytes()
        clients = self._clients
        with clients.lock:
            content = clients.recent.get(location)
        if content is None:
            with self.open(location) as stream:
                content = stream.read(max_bytes + 1)
            if len(content) > max_bytes:
                raise OSError(
                    f"{public_name(location)} must have at most {max_bytes} bytes, but goes on"
                )
            if len(content) <= _RECENT_BYTES:
                with clients.lock:
                    clients.recent.put(location, content, cost=len(content))
        return content

    def open(self, location: str, offset: int = 0) -> RemoteStream:
        """Return a stream of a file; nothing is asked of a remote before the first read.

        Args:
            offset: byte to start at.

        Raises:
            ValueError: a command that is not allowed, or a kind of URL that cannot be read.
        """
        timeout = self.config.timeout_sec
        clients = self._clients
        if location.startswith(PREFIX):
            if not self.allow_pipe:
                raise ValueError(
                    f"{location}: sources may run shell commands only with data.allow_pipe=true"
                )
            return RemoteStream(
                location, lambda _: CommandBody(location, timeout), self.config, offset
            )
        name = public_name(location)
        if location.startswith(_HTTP):
            session = clients.session
            return RemoteStream(
                name, lambda byte: HttpBody(session, location, byte, timeout), self.config, offset
            )
        if self.is_local(location):
            location = f"{_FILE}{Path(location).absolute()}"
        filesystem = clients.filesystem(location)
        return RemoteStream(
            name, lambda byte: ObjectBody(filesystem, location, byte), self.config, offset
        )

    @property
    def _clients(self) -> _Clients:
        pid = os.getpid()
        clients = self._by_process.get(pid)
        return clients or self._by_process.setdefault(pid, _Clients())


class _Clients:
    """What one process has open."""

    def __init__(self) -> None:
        self.session = make_session()
        self.recent: LruCache[str, bytes] = LruCache(_RECENT_BYTES)
        self.lock = threading.Lock()
        self._filesystems: dict[str, fsspec.AbstractFileSystem] = {}

    def filesystem(self, location: str) -> fsspec.AbstractFileSystem:
        """Return the filesystem of a URL: one for each scheme and host (or bucket)."""
        root = "/".join(location.split("/")[:3])
        known = self._filesystems.get(root)
        return known or self._filesystems.setdefault(root, open_filesystem(location))
