"""Tables with named columns: what is wrong with a row is named, and costs the row alone."""

from __future__ import annotations

from pathlib import Path

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
