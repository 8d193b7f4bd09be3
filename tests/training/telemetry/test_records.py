from __future__ import annotations

from pathlib import Path

from gsv2.training.telemetry.records import append_record, read_records, truncate_records


def test_floats_come_back_bit_for_bit_and_nan_is_null(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    append_record(path, {"step": 1, "x": 0.1 + 0.2, "y": float("nan"), "z": float("inf")})
    assert read_records(path) == [{"step": 1, "x": 0.1 + 0.2, "y": None, "z": None}]


def test_truncation_drops_later_steps_and_a_half_written_line(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    for step in (1, 2, 3):
        append_record(path, {"step": step})
    with path.open("a") as stream:
        stream.write('{"step": 2, "x"')
    truncate_records(path, 3)
    assert [r["step"] for r in read_records(path)] == [1, 2, 3]
    truncate_records(path, 2)
    append_record(path, {"step": 3})
    assert [r["step"] for r in read_records(path)] == [1, 2, 3]


def test_without_a_file_there_are_no_records(tmp_path: Path) -> None:
    truncate_records(tmp_path / "m.jsonl", 0)
    assert read_records(tmp_path / "m.jsonl") == []
