"""Encoded audio that waits in a file, and gives its place on disk back when a shard has it."""

from __future__ import annotations

import ctypes
import errno
import os
from typing import BinaryIO, NamedTuple

_KEEP_SIZE, _PUNCH_HOLE = 1, 2  # flags of fallocate(2)
THERE, FREED = b"\0", b"\1"
"""Byte before the audio: whether it is there, or was given back."""
_NO_HOLES = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EPERM)


class StoredAudio(NamedTuple):
    """Audio of one clip in a file that is open for reading and writing."""

    file: BinaryIO
    number: int
    """Number of the file among those that are open..."""
    offset: int
    """...and the byte in it where the audio begins."""
    num_bytes: int
    crc32: int

    @property
    def is_there(self) -> bool:
        """Whether it was not given back."""
        self.file.seek(self.offset - len(THERE))
        return self.file.read(len(THERE)) == THERE

    def read(self) -> bytes:
        """Return the audio."""
        self.file.seek(self.offset)
        return self.file.read(self.num_bytes)

    def free(self) -> None:
        """Give its place back to the disk, where the file system can."""
        self.file.seek(self.offset - len(FREED))
        self.file.write(FREED)
        self.file.flush()
        punch_hole(self.file, self.offset, self.num_bytes)


def punch_hole(file: BinaryIO, offset: int, length: int) -> bool:
    """Give the disk blocks of a span of a file back, whose bytes are zeros then.

    Returns:
        Whether the file system could; if not, nothing has changed.

    Raises:
        OSError: the disk fails.
    """
    try:
        fallocate = ctypes.CDLL(None, use_errno=True).fallocate
    except (AttributeError, OSError, TypeError):  # not Linux
        return False
    arguments = (ctypes.c_int64(offset), ctypes.c_int64(length))
    if fallocate(file.fileno(), _KEEP_SIZE | _PUNCH_HOLE, *arguments) == 0:
        return True
    if (code := ctypes.get_errno()) in _NO_HOLES:
        return False
    raise OSError(code, os.strerror(code))
