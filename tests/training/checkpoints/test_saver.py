from __future__ import annotations

import errno
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gsv2.training.accounting.state import TrainState
from gsv2.training.checkpoints import saver as saver_module
from gsv2.training.checkpoints import tensor_file
from gsv2.training.checkpoints.checkpoint import list_steps, verify_checkpoint
from gsv2.training.checkpoints.config import CheckpointConfig
from gsv2.training.checkpoints.fingerprint import RunIdentity
from gsv2.training.checkpoints.mirror import CheckpointMirror
from gsv2.training.checkpoints.saver import CheckpointWriteError, Saver
from gsv2.training.distributed import background
from gsv2.training.distributed.ranks import Distributed
from tests.support.toy_stage import ToyStage
from tests.training.checkpoints.test_snapshot import make_stage

MakeSaver = Callable[..., Saver]


@pytest.fixture
def stage(tmp_path: Path, distributed: Distributed) -> ToyStage:
    return make_stage(tmp_path, distributed)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.fixture
def make_saver(run: Path, distributed: Distributed) -> Iterator[MakeSaver]:
    made = []

    def make(target: CheckpointMirror | None = None, **config: Any) -> Saver:
        identity = RunIdentity(seed=0, lanes=4)
        made.append(Saver(run, CheckpointConfig(**config), distributed, identity, target))
        return made[-1]

    yield make
    for saver in made:
        saver.close()


def save(saver: Saver, stage: ToyStage, step: int, row: dict[str, Any] | None = None) -> None:
    saver.save(stage.trainables, TrainState(step=step), row)


def fill_the_disk(patch: pytest.MonkeyPatch) -> None:
    def write(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    patch.setattr(tensor_file, "_write_all", write)


class Gate:
    """Holds every write until it is opened."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.opened = threading.Event()
        self.num_inside = 0
        self.most_inside = 0
        original = saver_module.write_checkpoint

        def write(*args: Any) -> Path:
            self.num_inside += 1
            self.most_inside = max(self.most_inside, self.num_inside)
            assert self.opened.wait(20)
            try:
                return original(*args)
            finally:
                self.num_inside -= 1

        patch.setattr(saver_module, "write_checkpoint", write)


def test_a_step_does_not_wait_for_the_disk(
    run: Path, stage: ToyStage, make_saver: MakeSaver, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, saver = Gate(monkeypatch), make_saver()
    save(saver, stage, 1)
    saver.poll()
    assert list_steps(run) == []
    gate.opened.set()
    saver.finish()
    assert list_steps(run) == [1]
    figures = saver.figures()
    assert figures["checkpoint/blocked_sec"] > 0
    assert figures["checkpoint/write_sec"] > 0
    assert saver.figures()["checkpoint/blocked_sec"] == 0


def test_one_write_is_under_way_at_most(
    run: Path,
    stage: ToyStage,
    make_saver: MakeSaver,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    gate, saver = Gate(monkeypatch), make_saver()
    save(saver, stage, 1)
    threading.Timer(0.1, gate.opened.set).start()
    with caplog.at_level(logging.INFO):
        save(saver, stage, 2)
    assert list_steps(run)[0] == 1  # whole before the memory is used again
    assert "step 2 waits for the checkpoint of step 1" in caplog.text
    saver.finish()
    assert list_steps(run) == [1, 2]
    assert gate.most_inside == 1


def test_ranks_that_wait_for_a_slow_disk_are_not_taken_for_dead(
    run: Path, stage: ToyStage, distributed: Distributed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "SLICE_SEC", 0.01)
    gate, beats = Gate(monkeypatch), []

    def beat() -> None:
        beats.append(1)
        if len(beats) == 3:
            gate.opened.set()

    identity = RunIdentity(seed=0, lanes=4)
    saver = Saver(run, CheckpointConfig(), distributed, identity, None, beat)
    save(saver, stage, 1)
    saver.finish()
    saver.close()
    assert len(beats) >= 3
    assert list_steps(run) == [1]


def test_a_full_disk_keeps_the_old_checkpoint_says_so_and_the_next_one_is_tried(
    run: Path, stage: ToyStage, make_saver: MakeSaver, caplog: pytest.LogCaptureFixture
) -> None:
    saver = make_saver(keep_last=1)
    save(saver, stage, 1)
    saver.finish()
    with pytest.MonkeyPatch.context() as patch:
        fill_the_disk(patch)
        save(saver, stage, 2)
        saver.check()  # the run goes on
        saver.close()
    assert "CHECKPOINT FAILED, the earlier ones stay" in caplog.text
    assert "step 2 could not be written: [Errno 28] No space left on device" in caplog.text
    assert list_steps(run) == [1]
    assert [path.name for path in (run / "checkpoints").iterdir()] == ["step_00000001"]
    verify_checkpoint(run / "checkpoints" / "step_00000001")
    assert saver.figures()["checkpoint/failures"] == 1


def test_after_a_failure_the_next_one_is_written(
    run: Path, stage: ToyStage, make_saver: MakeSaver
) -> None:
    saver = make_saver()
    with pytest.MonkeyPatch.context() as patch:
        fill_the_disk(patch)
        save(saver, stage, 1)
        with pytest.raises(CheckpointWriteError):
            saver.finish()
    save(saver, stage, 2)
    saver.finish()
    assert list_steps(run) == [2]


def test_the_main_rank_tells_of_a_failure_at_the_next_step(
    stage: ToyStage,
    make_saver: MakeSaver,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    fill_the_disk(monkeypatch)
    saver = make_saver()
    save(saver, stage, 1)
    deadline = threading.Event()
    while "CHECKPOINT FAILED" not in caplog.text:
        saver.poll()
        deadline.wait(0.01)


def test_a_run_that_must_not_go_on_without_a_checkpoint_ends_at_the_next_row_or_checkpoint(
    stage: ToyStage, make_saver: MakeSaver, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_the_disk(monkeypatch)
    saver = make_saver(keep_going_on_failure=False)
    save(saver, stage, 1)
    with pytest.raises(CheckpointWriteError, match="step 1 could not be written"):
        save(saver, stage, 2)
    with pytest.raises(CheckpointWriteError, match="step 1 could not be written"):
        saver.check()


def test_the_last_checkpoint_must_succeed(
    stage: ToyStage, make_saver: MakeSaver, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_the_disk(monkeypatch)
    saver = make_saver()
    save(saver, stage, 1)
    with pytest.raises(CheckpointWriteError, match="step 1 could not be written"):
        saver.finish()


def test_an_error_of_our_own_is_no_full_disk(
    stage: ToyStage, make_saver: MakeSaver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise TypeError("a bug")

    monkeypatch.setattr(saver_module, "write_snapshot", broken)
    saver = make_saver()
    save(saver, stage, 1)
    with pytest.raises(TypeError, match="a bug"):
        saver.finish()


def test_a_run_that_breaks_off_leaves_a_disk_that_hangs_behind(
    run: Path,
    stage: ToyStage,
    make_saver: MakeSaver,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(saver_module, "_CLOSE_SEC", 0.1)
    gate, saver = Gate(monkeypatch), make_saver()
    save(saver, stage, 1)
    saver.close()
    assert "CHECKPOINT GIVEN UP: that of step 1 is not written" in caplog.text
    assert list_steps(run) == []
    gate.opened.set()


def test_a_run_that_breaks_off_waits_for_the_write_under_way(
    run: Path, stage: ToyStage, make_saver: MakeSaver, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, saver = Gate(monkeypatch), make_saver()
    save(saver, stage, 1)
    threading.Timer(0.1, gate.opened.set).start()
    saver.close()
    assert list_steps(run) == [1]
    saver.close()
