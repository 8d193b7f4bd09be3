"""Upload of a folder that was made on this machine, file by file; an ended one goes on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gsv2.storage.object_store import ObjectFolder


def upload_folder(
    folder: Path,
    url: str,
    *,
    last: str,
    overwrite: bool = False,
    progress: Callable[[int, int], object] | None = None,
) -> None:
    """Move a folder to a remote one; `last` follows all else, so that it says that all is there.

    A file is removed here when it is there: an ended call goes on with the files that are left.

    Args:
        folder: folder to move.
        url: remote folder.
        last: name of the files that are moved last; whole are the folders that hold one.
        overwrite: remove what the remote folder holds before.
        progress: called with (bytes moved, bytes in all).

    Raises:
        FileExistsError: the remote folder has a file `last`, and `overwrite` is False.
        OSError: it is out of reach, or has another size afterwards.
    """
    remote = ObjectFolder(url)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    files.sort(key=lambda path: path.name == last)
    ends = [path.relative_to(folder).as_posix() for path in files if path.name == last]
    there = remote.find()
    if not there.keys().isdisjoint(ends):
        if not overwrite:
            raise FileExistsError(f"{remote.name} has a {last} already")
        for name in ends:
            remote.remove(name)
    total, done = sum(path.stat().st_size for path in files), 0
    for path in files:
        name, size = path.relative_to(folder).as_posix(), path.stat().st_size
        remote.make(name.rpartition("/")[0])
        remote.put(path, name)
        if (found := remote.size(name)) != size:
            raise OSError(f"{remote.name}/{name} must have {size} bytes, but has {found}")
        path.unlink()
        done += size
        if progress is not None:
            progress(done, total)
