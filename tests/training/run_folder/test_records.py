from __future__ import annotations

from pathlib import Path

import pytest

from gsv2.training.run_folder import records as records_module
from gsv2.training.run_folder.records import (
    RecordFile,
    append_records,
    read_records,
    truncate_records,
)
from tests.support.full_disk import no_room_beyond


def test_floats_come_back_bit_for_bit_and_nan_is_null(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    append_records(path, [{"step": 1, "x": 0.1 + 0.2, "y": float("nan"), "z": float("inf")}])
    assert read_records(path) == [{"step": 1, "x": 0.1 + 0.2, "y": None, "z": None}]


def test_truncation_drops_later_steps_and_a_half_written_line(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    for step in (1, 2, 3):
        append_records(path, [{"step": step}])
    with path.open("a") as stream:
        stream.write('{"step": 2, "x"')
    truncate_records(path, 3)
    assert [r["step"] for r in read_records(path)] == [1, 2, 3]
    truncate_records(path, 2)
    append_records(path, [{"step": 3}])
    assert [r["step"] for r in read_records(path)] == [1, 2, 3]


def test_a_full_disk_takes_all_of_a_line_or_nothing_and_the_error_names_the_file(
    tmp_path: Path,
) -> None:
    path = tmp_path / "m.jsonl"
    append_records(path, [{"step": 1}])
    whole = path.read_bytes()
    for room in (len(whole), len(whole) + 5):
        with pytest.raises(OSError, match=f"File too large: '{path}'"), no_room_beyond(room):
            append_records(path, [{"step": 2, "key": "x" * 100}])
        assert path.read_bytes() == whole


def test_a_name_that_is_not_utf_8_comes_back_as_it_was(tmp_path: Path) -> None:
    append_records(tmp_path / "q.jsonl", [{"step": 1, "key": "a\udc80"}])
    assert read_records(tmp_path / "q.jsonl") == [{"step": 1, "key": "a\udc80"}]


def test_without_a_file_there_are_no_records(tmp_path: Path) -> None:
    truncate_records(tmp_path / "m.jsonl", 0)
    assert read_records(tmp_path / "m.jsonl") == []


@pytest.mark.parametrize(
    "torn", [b"{bad}\n", bytes(9) + b"\n", b"\xff\n", b"[1]\n", b"{}\n", b"\n"]
)
def test_a_damaged_line_is_dropped_loudly_and_the_others_stay(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, torn: bytes
) -> None:
    file = tmp_path / "metrics.jsonl"
    good = [b'{"step": 1}\n', b'{"step": 2}\n']
    file.write_bytes(good[0] + torn + good[1])
    with pytest.raises(ValueError, match=rf"{file}: line 2 is no"):
        read_records(file)
    truncate_records(file, 5)
    assert file.read_bytes() == b"".join(good)
    assert f"{file}: line 2" in caplog.text


def test_characters_that_end_a_line_elsewhere_do_not_end_one_here(tmp_path: Path) -> None:
    file = tmp_path / "quarantine.jsonl"
    record = {"step": 1, "key": "a\u2028b\x85c\x0bd"}
    append_records(file, [record])
    truncate_records(file, 1)
    assert read_records(file) == [record]


def steps(records: list[dict[str, int]]) -> list[int]:
    return [record["step"] for record in records]


def test_records_wait_for_room_and_come_in_their_order(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "metrics.jsonl"
    file = RecordFile(path)
    file.append([{"step": 1}])
    with no_room_beyond(20):
        file.append([{"step": 2}])
        file.append([{"step": 3}, {"step": 4}])
        assert steps(read_records(path)) == [1]
        assert steps(file.read()) == [1, 2, 3, 4]
    assert caplog.text.count("CANNOT BE WRITTEN") == 1
    assert str(path) in caplog.text
    file.append([{"step": 5}])
    assert steps(read_records(path)) == [1, 2, 3, 4, 5]
    file.close()
    assert steps(read_records(path)) == [1, 2, 3, 4, 5]


def test_what_waits_is_bounded_and_what_is_lost_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records_module, "MAX_WAITING", 3)
    file = RecordFile(tmp_path / "metrics.jsonl")
    with no_room_beyond(0):
        for step in range(9):
            file.append([{"step": step}])
        assert steps(file.read()) == [6, 7, 8]
        file.close()
    assert "metrics.jsonl: 3 records are lost" in caplog.text


def test_the_end_of_a_run_is_the_last_try(tmp_path: Path) -> None:
    file = RecordFile(tmp_path / "metrics.jsonl")
    with no_room_beyond(0):
        file.append([{"step": 1}])
    file.close()
    assert steps(read_records(tmp_path / "metrics.jsonl")) == [1]
