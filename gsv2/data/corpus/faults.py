"""Faults of the machine, told apart from those of a corpus: its clips may be good."""

from __future__ import annotations

import errno
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def describe_fault(error: OSError, tar: str | Path, num_open: int | None = None) -> str:
    """Return what the machine says of a tar, with its limit where it has one.

    Args:
        error: error of the system.
        tar: tar that was opened or read.
        num_open: tars that are open; None = not counted.
    """
    said = error.strerror or str(error)
    reason = f"{tar} cannot be read: {said}, a fault of the machine, not of the corpus"
    if error.errno in (errno.EMFILE, errno.ENFILE):
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        count = "" if num_open is None else f"{num_open} tars are open, "
        reason += f"; {count}the limit is {limit} files (ulimit -n); raise it"
    return reason


@contextmanager
def machine_faults(tar: Path) -> Iterator[None]:
    """Name the tar in an error of the machine, which does not name it when a read fails.

    Raises:
        OSError: names the tar.
    """
    try:
        yield
    except (FileNotFoundError, PermissionError, IsADirectoryError):
        raise  # these name it
    except OSError as error:
        raise OSError(error.errno, describe_fault(error, tar)) from error
