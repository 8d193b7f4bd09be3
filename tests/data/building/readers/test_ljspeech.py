"""Metadata of LJSpeech: what is wrong with a row is named, and costs the row alone."""

from __future__ import annotations

from pathlib import Path

from tests.support.offered_clips import Fault, check_faults

FAULTS = [
    Fault(b"alone", "wrong number of columns", "1 columns"),
    Fault(b"none|Hi.|Hi.", "audio file does not exist", "none"),
    Fault(b"0002||", "no transcript", "empty"),
    Fault(b"0002|\xe9", "line is not UTF-8", r"\xe9"),
    Fault(b"0001|Hi.", "same recording or key twice", "metadata.csv:1"),
]


def test_a_row_that_is_no_recording_costs_itself_alone(tmp_path: Path) -> None:
    check_faults("ljspeech", "metadata.csv", FAULTS, tmp_path)
