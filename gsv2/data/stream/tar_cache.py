"""Cache of whole tars in a local folder, for corpora that are read more than once from afar.

A tar is kept under the hash of its content, or else under that of its full URL, so that
`en/shard-0` is never taken for `zh/shard-0`. The folder is shared by all processes of a machine
and of several runs: each tar is fetched once, under a lock, and appears by renaming.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from gsv2.storage.body import public_name
from gsv2.storage.storage import Storage

_CHUNK = 1 << 20
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_TAR, _PART, _LOCK = ".tar", ".part", ".lock"


class WrongTarError(ValueError):
    """A tar that is not the one that corpus.json describes."""


class TarCache:
    """A folder of tars.

    Args:
        storage: storage to fetch from.
        cache_dir: the folder; made with the first tar.
        cache_gb: most that it holds; beyond, those unused for longest go, but never the one just
            asked for. Who has mapped a tar keeps it, as POSIX says.
    """

    def __init__(self, storage: Storage, cache_dir: str | Path, cache_gb: float) -> None:
        self._storage = storage
        self._folder = Path(cache_dir).expanduser()
        self._max_bytes = int(cache_gb * 1e9)
        self._wrong: dict[str, str] = {}

    def open(self, location: str, sha256: str | None = None) -> BinaryIO:
        """Return a complete local copy of a remote tar, open; arguments and errors as `path`."""
        while True:
            try:
                return self.path(location, sha256).open("rb")
            except FileNotFoundError as error:
                if error.errno is None:  # the remote's: the folder's have one
                    raise  # else others needed the room before this could open it

    def path(self, location: str, sha256: str | None = None) -> Path:
        """Return a complete local copy of a remote tar; fetch it if it is not here.

        Args:
            location: path or URL of the tar.
            sha256: SHA-256 of its content, if that is known.

        Raises:
            FileNotFoundError: there is no such tar.
            WrongTarError: its content has another hash.
            OSError: it cannot be fetched, after all retries, or the folder is full.
        """
        if location in self._wrong:
            raise WrongTarError(self._wrong[location])
        path = self._folder / f"{_key(location, sha256)}{_TAR}"
        if _touch(path):
            return path
        self._folder.mkdir(parents=True, exist_ok=True)
        with _locked(path.with_suffix(_LOCK)):
            if not _touch(path):  # another process may have been faster
                self._fetch(location, sha256, path)
        self._evict(path)
        return path

    def _fetch(self, location: str, sha256: str | None, path: Path) -> None:
        part = path.with_suffix(_PART)
        if sha256 and part.exists():  # what a killed process left; its hash will tell
            if self._download(location, part, resume=True) == sha256:
                part.replace(path)
                return
        found = self._download(location, part, resume=False)
        if sha256 and found != sha256:
            part.unlink()
            self._wrong[location] = (
                f"{public_name(location)} must have SHA-256 {sha256} as corpus.json says, but has "
                f"{found}"
            )
            raise WrongTarError(self._wrong[location])
        part.replace(path)

    def _download(self, location: str, part: Path, *, resume: bool) -> str:
        """Write a tar, or the rest of one; return the SHA-256 of the whole."""
        digest = hashlib.sha256()
        try:
            with part.open("r+b" if resume else "wb") as file:
                while resume and (known := file.read(_CHUNK)):
                    digest.update(known)
                with self._storage.open(location, file.tell()) as stream:
                    while chunk := stream.read_some(_CHUNK):
                        digest.update(chunk)
                        file.write(chunk)
        except FileNotFoundError:
            part.unlink(missing_ok=True)
            raise
        except OSError as error:
            if error.errno not in _FULL:
                raise
            part.unlink(missing_ok=True)
            raise OSError(
                error.errno,
                f"data.remote.cache_dir {self._folder} has no room for {public_name(location)}; "
                "free some, or lower data.remote.cache_gb",
            ) from error
        return digest.hexdigest()

    def _evict(self, kept: Path) -> None:
        """Remove what was unused for longest until the folder is small enough."""
        with _locked(self._folder / _LOCK):
            files = [(file, stat) for file in self._folder.iterdir() if (stat := _stat(file))]
            total = sum(stat.st_size for _, stat in files)
            for file, stat in sorted(files, key=lambda entry: entry[1].st_mtime_ns):
                if total <= self._max_bytes:
                    return
                if file.suffix in (_TAR, _PART) and file != kept and _remove(file):
                    total -= stat.st_size


def _key(location: str, sha256: str | None) -> str:
    if sha256:
        return f"sha256-{sha256}"
    return f"url-{hashlib.sha256(location.encode()).hexdigest()}"


def _touch(path: Path) -> bool:
    """Note that a tar is used; False if it is not here."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    return True


def _stat(path: Path) -> os.stat_result | None:
    """Return size and times of a file; None if another process was faster to remove it."""
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _remove(file: Path) -> bool:
    """Remove a tar, whole or in part, unless somebody fetches it right now."""
    lock = file.with_suffix(_LOCK)
    with _locked(lock, wait=False) as free:
        if free:
            file.unlink(missing_ok=True)
            if not any(file.with_suffix(suffix).exists() for suffix in (_TAR, _PART)):
                lock.unlink()
        return free


@contextmanager
def _locked(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold a lock file; yields False if it is another's and `wait` is not wanted."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            if not _lock(handle, wait=wait):
                yield False
                return
            now = _stat(path)
            if now is not None and os.path.samestat(now, os.fstat(handle)):
                yield True
                return
        finally:
            os.close(handle)


def _lock(handle: int, *, wait: bool) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True
