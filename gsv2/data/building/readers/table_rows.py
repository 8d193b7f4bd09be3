"""Rows of a table of text, CSV or TSV, one at a time; a row that is none costs only itself.

Tables with commas and semicolons are CSV (RFC 4180: quotes, doubled quotes, line breaks inside
them). With tabs and pipes quotes belong to the text, unless they stand around a whole field.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from gsv2.data.building.offered import RejectedFile, left_out
from gsv2.data.building.readers.glance import first_lines
from gsv2.data.building.readers.lines import Line, text_lines

_DELIMITERS = "\t,;|"
_QUOTED_LINES = 20  # most lines of one quoted field


class Header(NamedTuple):
    """First row of a table."""

    delimiter: str
    names: list[str]


class Row(NamedTuple):
    """A row after the first."""

    place: str
    """FILE:LINE where it begins."""
    values: dict[str, str]
    """Column -> value."""


def read_header(path: Path, encoding: str = "utf-8") -> Header | None:
    """Return the first row of a table; None if it has a single column, or none at all."""
    lines = first_lines(path, 1, encoding)
    if not lines:
        return None
    delimiter = max(_DELIMITERS, key=lines[0].count)
    names = _split(lines[0], delimiter)
    if names is None or len(names) < 2:
        return None
    return Header(delimiter, [name.strip() for name in names])


def table_rows(path: Path, header: Header, encoding: str) -> Iterator[Row | RejectedFile]:
    """Yield the rows of a table, and by name what is none."""
    lines = text_lines(path, encoding)
    next(lines, None)
    waiting: list[Line | RejectedFile] = []
    while waiting or (waiting := list(_next(lines))):
        line = waiting.pop(0)
        if isinstance(line, RejectedFile):
            yield line
            continue
        fields = _split(line.text, header.delimiter)
        if fields is None:
            fields, waiting = _joined(line, header, waiting, lines)
        if fields is None:
            yield left_out(line.place, "quote is not closed or not doubled", line.text[:80])
        elif len(fields) != len(header.names):
            what = f"{len(fields)} columns, not {len(header.names)}: {line.text[:80]}"
            yield left_out(line.place, "wrong number of columns", what)
        else:
            yield Row(line.place, dict(zip(header.names, fields, strict=True)))


def _next(lines: Iterator[Line | RejectedFile]) -> Iterator[Line | RejectedFile]:
    """Yield one line, if there is one."""
    if (line := next(lines, None)) is not None:
        yield line


def _joined(
    first: Line,
    header: Header,
    waiting: list[Line | RejectedFile],
    lines: Iterator[Line | RejectedFile],
) -> tuple[list[str] | None, list[Line | RejectedFile]]:
    """Return the fields of a row that goes on in further lines, and the lines that are left.

    Where no few lines make a row of all columns, they are all left.
    """
    text = first.text
    for count in range(_QUOTED_LINES):
        if count >= len(waiting):
            waiting += _next(lines)
        if count >= len(waiting) or not isinstance(line := waiting[count], Line):
            break
        text += f"\n{line.text}"
        fields = _split(text, header.delimiter)
        if fields is not None:
            whole = len(fields) == len(header.names)
            return (fields, waiting[count + 1 :]) if whole else (None, waiting)
    return None, waiting


def _split(text: str, delimiter: str) -> list[str] | None:
    """Return the fields of a row; None if a quote is not closed, or ends inside a field."""
    if delimiter in "\t|":
        return [_unquoted(field) for field in text.split(delimiter)]
    try:
        rows = list(csv.reader([text], delimiter=delimiter, strict=True))
    except csv.Error:
        return None
    return rows[0] if len(rows) == 1 else None


def _unquoted(field: str) -> str:
    """Take off quotes that a spreadsheet has put around a field."""
    inner = field[1:-1]
    quoted = len(field) > 1 and field[0] == field[-1] == '"'
    if quoted and '""' in inner and '"' not in inner.replace('""', ""):
        return inner.replace('""', '"')
    return inner if quoted and '"' not in inner else field
