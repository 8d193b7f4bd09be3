"""Tables with named columns: what is wrong with a row is named, and costs the row alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from gsv2.data.building.offered import Recording
from gsv2.data.building.readers.reader import ReadingOptions
from gsv2.data.building.readers.table import TableReader
from gsv2.data.corpus.manifest import CorpusError
from tests.support.offered_clips import Fault, check_faults

FAULTS = [
    Fault(b"audio/0001.ogg,Hi.,anna,en", "wrong number of columns", "4 columns, not 5"),
    Fault(b"audio/none.ogg,Hi.,anna,en,1", "audio file does not exist", "none.ogg"),
    Fault(b",Hi.,anna,en,1", "row names no audio", "Path"),
    Fault(b"audio/0002.ogg,,anna,en,1", "no transcript", "empty"),
    Fault(b"audio/0002.ogg,\xff,anna,en,1", "line is not UTF-8", r"\xff"),
    Fault(b"audio/0002.ogg,Hi.,anna,,1", "language is missing", "--language"),
    Fault(b'audio/0002.ogg,"Hi,anna,en,1', "quote is not closed or not doubled", '"Hi'),
    Fault(b"audio/0001.ogg,Hi.,anna,en,1", "same recording or key twice", "mine.csv:2"),
]


def test_a_row_that_is_no_recording_costs_itself_alone(tmp_path: Path) -> None:
    check_faults("table", "mine.csv", FAULTS, tmp_path)


@pytest.mark.parametrize("column", ["start_ms", "end_ms", "Segment_Onset", "clip_start_samples"])
def test_a_column_that_means_a_part_of_a_recording_is_read_or_refused(
    tmp_path: Path, column: str
) -> None:
    table = tmp_path / "mine.csv"
    table.write_text(f"file,text,{column}\na.wav,Hi there.,1000\n")
    (tmp_path / "a.wav").touch()
    options = ReadingOptions(language="en")
    with pytest.raises(CorpusError, match=f"column {column} seems .*--ignore-field"):
        list(TableReader().recordings(table, options))
    (row,) = TableReader().recordings(table, ReadingOptions(language="en", ignore=[column]))
    assert isinstance(row, Recording)


@pytest.mark.parametrize("column", ["end_user", "ending", "offset_date", "status", "start_time"])
def test_other_columns_do_not_matter(tmp_path: Path, column: str) -> None:
    table = tmp_path / "mine.csv"
    table.write_text(f"file,text,start,{column}\na.wav,Hi there.,1.0,1.0\n")
    (tmp_path / "a.wav").touch()
    (row,) = TableReader().recordings(table, ReadingOptions(language="en"))
    assert isinstance(row, Recording)
    assert row.start_sec == 1.0
