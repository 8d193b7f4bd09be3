"""Copies to a target that is slower than the run."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gsv2.training.checkpoints import saver as saver_module
from gsv2.training.checkpoints import uploads as uploads_module
from gsv2.training.checkpoints.checkpoint import list_steps
from gsv2.training.checkpoints.config import CheckpointConfig
from gsv2.training.checkpoints.mirror import CheckpointMirror
from gsv2.training.checkpoints.retention import Retention
from gsv2.training.checkpoints.saver import CheckpointWriteError
from gsv2.training.checkpoints.uploads import CheckpointUploads
from gsv2.training.distributed import background
from tests.support.toy_stage import ToyStage
from tests.training.checkpoints import test_checkpoint
from tests.training.checkpoints.test_saver import MakeSaver, make_saver, run, save, stage
from tests.training.checkpoints.test_saver_keeps import target

__all__ = ["make_saver", "run", "stage", "target"]


class SlowLine:
    """Holds copies to a target, each until it is let through, or all until the line is open."""

    def __init__(self, target: CheckpointMirror, patch: pytest.MonkeyPatch) -> None:
        self.sent: list[int] = []
        self._tickets = threading.Semaphore(0)
        original = target.put

        def put(folder: Path, step: int) -> None:
            self.sent.append(step)
            assert self._tickets.acquire(timeout=20)
            original(folder, step)

        patch.setattr(target, "put", put)

    def let_through(self, number: int = 1) -> None:
        self._tickets.release(number)

    def open(self) -> None:
        self.let_through(100)


@pytest.fixture
def line(target: CheckpointMirror, monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowLine]:
    line = SlowLine(target, monkeypatch)
    monkeypatch.setattr(saver_module, "_COPY_SEC", 0.05)
    yield line
    line.open()


def test_a_step_does_not_wait_for_the_target(
    run: Path, stage: ToyStage, make_saver: MakeSaver, target: CheckpointMirror, line: SlowLine
) -> None:
    saver = make_saver(target)
    for step in (1, 2, 3):
        save(saver, stage, step)
    saver.leave()
    assert list_steps(run) == [1, 2, 3]
    assert target.steps() == []


def test_the_newest_goes_first_and_of_older_ones_what_is_still_here(
    run: Path, stage: ToyStage, make_saver: MakeSaver, target: CheckpointMirror, line: SlowLine
) -> None:
    saver = make_saver(target, keep_last=2)
    for step in (1, 2, 3, 4, 5):
        save(saver, stage, step)
        saver._wait_for_write()
    assert list_steps(run) == [1, 4, 5]  # what is being sent is not taken away meanwhile
    line.open()
    saver.finish()
    assert line.sent == [1, 5, 4]
    assert list_steps(run) == target.steps() == [4, 5]


def test_a_run_that_leaves_says_what_the_target_lacks_and_does_not_fail(
    run: Path,
    stage: ToyStage,
    make_saver: MakeSaver,
    target: CheckpointMirror,
    line: SlowLine,
    caplog: pytest.LogCaptureFixture,
) -> None:
    saver = make_saver(target)
    for step in (1, 2):
        save(saver, stage, step)
    saver.leave()
    assert list_steps(run) == [1, 2]
    message = f"CHECKPOINT COPY GIVEN UP: the target lacks that of step 1, 2, which is in {run};"
    assert message in caplog.text
    saver.close()
    assert caplog.text.count("GIVEN UP") == 1


def test_a_copy_that_failed_does_not_keep_a_run_from_leaving_but_from_ending_well(
    stage: ToyStage,
    make_saver: MakeSaver,
    target: CheckpointMirror,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unplugged(*_: object) -> None:
        raise OSError("cable out")

    monkeypatch.setattr(target, "put", unplugged)
    saver = make_saver(target)
    save(saver, stage, 1)
    saver.leave()
    with pytest.raises(CheckpointWriteError, match="step 1 could not be copied: cable out"):
        saver.finish()
    assert saver.figures()["checkpoint/failures"] == 1


def test_the_end_of_a_run_waits_for_the_target_with_signs_of_life(
    stage: ToyStage,
    make_saver: MakeSaver,
    target: CheckpointMirror,
    line: SlowLine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(background, "SLICE_SEC", 0.01)
    beats = []

    def beat() -> None:
        beats.append(1)
        if len(beats) == 3:
            line.open()

    saver = make_saver(target)
    save(saver, stage, 1)
    saver.finish(beat)
    assert len(beats) >= 3
    assert target.steps() == [1]


def test_pruning_that_fails_here_is_no_failed_checkpoint_and_keeps_no_copy_from_the_target(
    run: Path,
    stage: ToyStage,
    make_saver: MakeSaver,
    target: CheckpointMirror,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An old damaged checkpoint has no state, and cannot be removed either."""

    def refuse(_: Path) -> None:
        raise PermissionError("not yours")

    saver = make_saver(target, keep_last=1, best="x")
    save(saver, stage, 1, {"x": 1.0})
    saver.finish()
    (run / "checkpoints" / "step_00000001" / "state.json").unlink()
    monkeypatch.setattr(uploads_module, "remove_folder", refuse)
    resumed = make_saver(target, keep_last=1, best="x")
    save(resumed, stage, 2, {"x": 0.5})
    resumed.finish()
    assert target.steps() == [2]
    assert resumed.figures()["checkpoint/failures"] == 0
    assert "OLD CHECKPOINT NOT REMOVED, of step 1: not yours" in caplog.text
    assert "FAILED" not in caplog.text


def test_an_error_of_our_own_ends_no_thread_in_silence(
    tmp_path: Path, target: CheckpointMirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise TypeError("a bug")

    monkeypatch.setattr(target, "put", broken)
    test_checkpoint.save(tmp_path, 1)
    uploads = CheckpointUploads(tmp_path, target, Retention(CheckpointConfig()))
    uploads.send(1)
    with pytest.raises(TypeError, match="a bug"):
        uploads.is_over(20)
    with pytest.raises(TypeError, match="a bug"):
        uploads.send(2)


def test_without_a_target_nothing_is_sent(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        uploads = CheckpointUploads(tmp_path, None, Retention(CheckpointConfig()))
        uploads.send(1)
        assert uploads.is_over(0)
        uploads.give_up(0)
    assert caplog.text == ""
