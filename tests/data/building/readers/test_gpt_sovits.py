"""Lists of GPT-SoVITS: what is wrong with a row is named, and costs the row alone."""

from __future__ import annotations

from pathlib import Path

from tests.support.offered_clips import Fault, check_faults

FAULTS = [
    Fault(b"a.wav|anna|EN", "wrong number of columns", "3 columns"),
    Fault(b"sliced/0001.wav|anna|EN|a|b", "wrong number of columns", "5 columns"),
    Fault(b"sliced/none.wav|anna|EN|Hi.", "audio file does not exist", "none.wav"),
    Fault(b"sliced/0002.wav|anna|EN|", "no transcript", "empty"),
    Fault(b"sliced/0002.wav|anna|EN|\xc3\x28", "line is not UTF-8", r"\xc3("),
    Fault(b"sliced/0002.wav|anna|anna|Hi.", "language is no BCP 47 tag", "'anna'"),
    Fault(b"sliced/0001.wav|anna|EN|Hi.", "same recording or key twice", "sliced.list:1"),
]


def test_a_row_that_is_no_recording_costs_itself_alone(tmp_path: Path) -> None:
    check_faults("gpt-sovits", "asr/sliced.list", FAULTS, tmp_path)
