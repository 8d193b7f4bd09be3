"""Files that are written whole or not at all, and whose errors name them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def named_errors(path: str | os.PathLike[str], *kinds: type[Exception]) -> Iterator[None]:
    """Let errors of writing a file name it: the system's own know only a number.

    Args:
        path: of the file that is written inside.
        *kinds: errors by which a library says that it cannot write.

    Raises:
        OSError: as it came, with the file where it named none, or in place of one of `kinds`.
    """
    try:
        yield
    except OSError as error:
        if error.filename is not None or str(path) in str(error):
            raise
        if error.errno is None or error.strerror is None:
            raise OSError(f"{path} cannot be written: {error}") from error
        error.filename = os.fspath(path)
        raise
    except kinds as error:
        raise OSError(f"{path} cannot be written: {error}") from error


def write_whole(path: Path, text: str) -> None:
    """Write text as UTF-8; it appears under its name whole, in place of what was there.

    Args:
        path: of the file.
        text: lone surrogates, of names that are not UTF-8, become escapes.

    Raises:
        OSError: the disk does not take it; names the file, which is as it was before.
    """
    aside = path.with_name(f".tmp-{path.name}")
    try:
        with named_errors(path):
            aside.write_text(text, encoding="utf-8", errors="backslashreplace")
            os.replace(aside, path)
    except OSError:
        aside.unlink(missing_ok=True)
        raise
