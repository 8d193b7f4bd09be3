from __future__ import annotations

from pathlib import Path

import pytest

from gsv2.training.run_folder import record_file
from gsv2.training.run_folder.record_file import RecordFile
from gsv2.training.run_folder.records import read_records
from tests.training.telemetry.full_disk import no_room_beyond


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
    monkeypatch.setattr(record_file, "MAX_WAITING", 3)
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
