from __future__ import annotations

import json
import logging
import shutil
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gsv2.training.faults.failure import NUM_RECORDS, FlightRecorder, stacks_at_sigterm
from gsv2.training.faults.signals import Preempted
from gsv2.training.run_folder.records import append_records, read_records
from tests.support.toy_stage import toy_batch


def make_recorder(run: Path) -> FlightRecorder:
    return FlightRecorder(run, 3, torch.device("cpu"))


def fail(recorder: FlightRecorder) -> None:
    recorder.note(12, [toy_batch(5), toy_batch(6)])
    with pytest.raises(ZeroDivisionError), recorder:
        recorder.value = 1 // 0  # type: ignore[attr-defined]


def test_a_failure_leaves_step_keys_rows_traceback_and_stacks(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for step in range(1, NUM_RECORDS + 11):
        append_records(tmp_path / "metrics.jsonl", [{"step": step}])
    fail(make_recorder(tmp_path))
    folder = tmp_path / "failure" / "step_00000012-rank3"
    record = json.loads((folder / "failure.json").read_text())
    assert (record["step"], record["rank"], record["error"]) == (12, 3, "ZeroDivisionError")
    assert [batch["micro_batch"] for batch in record["batches"]] == [5, 6]
    assert record["batches"][0]["keys"] == list(toy_batch(5).keys)
    assert "recorder.value = 1 // 0" in (folder / "traceback.txt").read_text()
    assert "most recent call first" in (folder / "stacks.txt").read_text()
    rows = read_records(folder / "metrics.jsonl")
    assert [row["step"] for row in rows] == list(range(11, NUM_RECORDS + 11))
    assert caplog.records[-1].levelno == logging.CRITICAL
    assert str(folder) in caplog.text


def test_an_earlier_failure_of_the_same_step_stays(tmp_path: Path) -> None:
    for _ in range(3):
        fail(make_recorder(tmp_path))
    names = sorted(path.name for path in (tmp_path / "failure").iterdir())
    stem = "step_00000012-rank3"
    assert names == [stem, f"{stem}-2", f"{stem}-3"]


def test_ranks_that_tidy_up_take_no_folder_from_under_another(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    is_over = threading.Event()

    def tidy_up() -> None:
        while not is_over.is_set():
            with suppress(OSError):
                (tmp_path / "failure").rmdir()

    other = threading.Thread(target=tidy_up)
    other.start()
    try:
        for _ in range(12):
            with stacks_at_sigterm(tmp_path, 3):
                pass
            fail(make_recorder(tmp_path))
            (folder,) = (tmp_path / "failure").iterdir()
            shutil.rmtree(folder)
    finally:
        is_over.set()
        other.join()
    assert "cannot be written" not in caplog.text


@pytest.mark.parametrize("error", [Preempted("told"), KeyboardInterrupt(), None])
def test_leaving_is_no_failure(tmp_path: Path, error: BaseException | None) -> None:
    recorder = make_recorder(tmp_path)
    recorder.__exit__(type(error), error, None)
    assert not (tmp_path / "failure").exists()


def test_a_key_that_is_not_utf_8_hides_no_error(tmp_path: Path) -> None:
    recorder = make_recorder(tmp_path)
    recorder.note(12, [replace(toy_batch(0), keys=("a\udc80",))])
    with pytest.raises(KeyError), recorder:
        raise KeyError("shard\udc80")
    folder = tmp_path / "failure" / "step_00000012-rank3"
    record = json.loads((folder / "failure.json").read_text())
    assert record["batches"][0]["keys"] == ["a\udc80"]
    assert record["message"] == repr("shard\udc80")


def test_a_full_disk_hides_no_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "failure").write_text("not a folder")
    fail(make_recorder(tmp_path))
    assert "cannot be written down" in caplog.text
