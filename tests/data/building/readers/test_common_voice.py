"""Tables of Common Voice: what is wrong with a row is named, and costs the row alone."""

from __future__ import annotations

from pathlib import Path

from tests.support.offered_clips import Fault, check_faults

FAULTS = [
    Fault(b"c\tcv_0001.mp3", "wrong number of columns", "2 columns, not 5"),
    Fault(b"c\tnone.mp3\tHi.\t2\ten", "audio file does not exist", "none.mp3"),
    Fault(b"c\t\tHi.\t2\ten", "row names no audio", "path"),
    Fault(b"c\tcv_0001.mp3\t \t2\ten", "no transcript", "empty"),
    Fault(b"c\tcv_0001.mp3\t\xff\t2\ten", "line is not UTF-8", r"\xff"),
    Fault(b"c\tcv_0001.mp3\tHi.\t2\txxxx1", "language is no BCP 47 tag", "xxxx1"),
    Fault(b"c\tcv_0001.mp3\tHi.\t2\ten", "same recording or key twice", "validated.tsv:2"),
]


def test_a_row_that_is_no_recording_costs_itself_alone(tmp_path: Path) -> None:
    check_faults("common-voice", "validated.tsv", FAULTS, tmp_path)
