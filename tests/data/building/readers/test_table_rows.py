"""Rows of CSV and TSV as Python's csv reads them, and one that is broken costs itself alone."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from gsv2.data.building.offered import RejectedFile
from gsv2.data.building.readers.table_rows import read_header, table_rows

ROWS = [
    ["a.wav", "plain", "1"],
    ["b c.wav", 'she said "no, no"', "2"],
    ["c.wav", "two\nlines, with a comma", "3"],
    ["d.wav", "", "4"],
    ["e.wav", "“curly”; semi", "5"],
]


def rows_of(path: Path, encoding: str = "utf-8") -> list:
    header = read_header(path, encoding)
    assert header is not None
    return list(table_rows(path, header, encoding))


@pytest.mark.parametrize("delimiter", [",", ";"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
def test_rows_are_those_of_the_csv_module(tmp_path, delimiter, encoding):
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=delimiter).writerows([["path", "text", "n"], *ROWS])
    path = tmp_path / "a.csv"
    path.write_bytes(buffer.getvalue().encode(encoding))
    rows = rows_of(path, "utf-8" if encoding == "utf-8-sig" else encoding)
    assert [list(row.values.values()) for row in rows] == ROWS
    assert [int(row.place.rpartition(":")[2]) for row in rows] == [2, 3, 4, 6, 7]


def test_an_open_quote_costs_one_row_not_those_behind_it(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(
        'path,text,n\na,"open,1\nb,good,2\nc,"whole",3\nd,too,many,4\ne,"x"y,5\nf,good,6'
    )
    rows = rows_of(path)
    good = [row.values["path"] for row in rows if not isinstance(row, RejectedFile)]
    bad = [(row.file[-1], row.reason) for row in rows if isinstance(row, RejectedFile)]
    assert good == ["b", "c", "f"]
    assert bad == [
        ("2", "quote is not closed or not doubled"),
        ("5", "wrong number of columns"),
        ("6", "quote is not closed or not doubled"),
    ]


def test_with_tabs_and_pipes_quotes_belong_to_the_text(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text(
        'path\ttext\na\t"Yes" he said, "no"\nb\t"said ""no"""\nc\t"whole"\nd\t5" of rain\n'
    )
    said = [row.values["text"] for row in rows_of(path)]
    assert said == ['"Yes" he said, "no"', 'said "no"', "whole", '5" of rain']


def test_what_is_no_table_has_no_header(tmp_path):
    for content in ("", "one column\n", "\n\n"):
        (tmp_path / "a.csv").write_text(content)
        assert read_header(tmp_path / "a.csv") is None
