"""Transcripts of AISHELL-3: what is wrong with a row is named, and costs the row alone."""

from __future__ import annotations

from pathlib import Path

from tests.support.offered_clips import Fault, check_faults

FAULTS = [
    Fault("SSB00010003.wav 广 guang3".encode(), "wrong number of columns", "a tab"),
    Fault("SSB00019999.wav\t广 guang3".encode(), "audio file does not exist", "9999"),
    Fault(b"SSB00010003.wav\t", "no transcript", "empty"),
    Fault(b"SSB00010003.wav\t\xb9\xe3 guang3", "line is not UTF-8", r"\xb9"),
    Fault(
        "SSB00010003.wav\t广 州 guang3".encode(),
        "characters and pinyin do not alternate",
        "广 州",
    ),
    Fault("SSB00000001.wav\t广 guang3".encode(), "same recording or key twice", ":2"),
]


def test_a_row_that_is_no_recording_costs_itself_alone(tmp_path: Path) -> None:
    check_faults("aishell3", "train/content.txt", FAULTS, tmp_path)
