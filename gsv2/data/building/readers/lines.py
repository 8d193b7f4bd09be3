"""Lines of a text file, each with its place; one that cannot be decoded is left out by name."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from gsv2.data.building.offered import LeftOutError, Recording, RejectedFile, left_out
from gsv2.data.building.readers.glance import UTF_16
from gsv2.data.building.readers.reader import Listed
from gsv2.data.corpus.manifest import CorpusError

_SHOWN = 80


class Line(NamedTuple):
    """A line that is not blank."""

    place: str
    """FILE:LINE."""
    text: str
    """Without its end."""


def text_lines(path: Path, encoding: str = "utf-8") -> Iterator[Line | RejectedFile]:
    """Yield the lines of a file, which may be compressed by gzip; blank ones are passed over.

    Args:
        path: file of lines that end with a line feed, with or without a carriage return.
        encoding: encoding of the file; a byte order mark of UTF-8 is taken off.

    Raises:
        CorpusError: there is no such file, it may not be read, or it is UTF-16 and `encoding` is
            not.
    """
    try:
        file = gzip.open(path) if path.suffix == ".gz" else path.open("rb")
        with file, _decoded(file, path, encoding) as lines:
            for number, text in enumerate(lines, start=1):
                if text.strip():
                    yield _line(f"{path}:{number}", text.rstrip("\r\n"), encoding)
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        raise CorpusError(f"{path} cannot be read: {error.strerror}") from error
    except (EOFError, gzip.BadGzipFile, UnicodeError) as error:
        raise CorpusError(f"{path} cannot be read to its end: {error}") from error


def _decoded(file: object, path: Path, encoding: str) -> io.TextIOWrapper:
    assert isinstance(file, io.BufferedIOBase)
    buffered = io.BufferedReader(file)
    if buffered.peek(2)[:2] in UTF_16 and not encoding.lower().startswith(("utf-16", "utf16")):
        raise CorpusError(f"{path} is UTF-16, not {encoding}; say --encoding utf-16")
    name = "utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding
    return io.TextIOWrapper(buffered, name, errors="surrogateescape", newline="\n")


def _line(place: str, text: str, encoding: str) -> Line | RejectedFile:
    if not text.isascii() and any("\udc80" <= char <= "\udcff" for char in text):
        shown = text.encode(encoding, "surrogateescape").decode("ascii", "backslashreplace")
        return left_out(place, f"line is not {encoding.upper()}", shown[:_SHOWN])
    return Line(place, text)


def recordings_of(
    lines: Iterable[Line | RejectedFile], make: Callable[[Line], Recording | RejectedFile]
) -> Listed:
    """Yield a recording for each line, or why there is none.

    Args:
        lines: lines of a list or table.
        make: makes the recording; raises `LeftOutError`.
    """
    for line in lines:
        if isinstance(line, RejectedFile):
            yield line
            continue
        try:
            yield make(line)
        except LeftOutError as error:
            yield left_out(line.place, error.reason, error.value)


def needed_text(text: str) -> str:
    """Return a transcript without the blanks around it.

    Raises:
        LeftOutError: nothing is left.
    """
    if not (stripped := text.strip()):
        raise LeftOutError("no transcript", "the text is empty")
    return stripped
