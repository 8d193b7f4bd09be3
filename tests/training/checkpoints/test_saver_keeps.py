"""What a Saver keeps, here and at a target."""

from __future__ import annotations

import logging
from pathlib import Path
from uuid import uuid4

import pytest

from gsv2.training.checkpoints.checkpoint import CheckpointError, list_steps
from gsv2.training.checkpoints.mirror import CheckpointMirror
from gsv2.training.checkpoints.resume import find_checkpoint
from gsv2.training.checkpoints.saver import CheckpointWriteError
from tests.support.toy_stage import ToyStage
from tests.training.checkpoints.test_saver import MakeSaver, make_saver, run, save, stage

__all__ = ["make_saver", "run", "stage"]


@pytest.fixture
def target() -> CheckpointMirror:
    return CheckpointMirror(f"memory://{uuid4().hex}/runs/run")


def test_the_best_stays_here_and_at_the_target_also_after_a_resume(
    run: Path, stage: ToyStage, make_saver: MakeSaver, target: CheckpointMirror
) -> None:
    options = {"keep_last": 1, "best": "validation/x"}
    saver = make_saver(target, **options)
    for step, value in {1: 3.0, 2: 1.0, 3: 2.0}.items():
        save(saver, stage, step, {"validation/x": value})
    saver.finish()
    assert list_steps(run) == target.steps() == [2, 3]
    resumed = make_saver(target, **options)
    save(resumed, stage, 4, {"validation/x": 1.5})
    resumed.finish()
    assert list_steps(run) == target.steps() == [2, 4]
    save(resumed, stage, 5, {"validation/x": 0.5})
    save(resumed, stage, 6)
    resumed.finish()
    assert list_steps(run) == target.steps() == [5, 6]


def test_a_step_saved_again_is_judged_by_its_new_value(
    run: Path, stage: ToyStage, make_saver: MakeSaver
) -> None:
    saver = make_saver(keep_last=1, best="x")
    for step, value in ((1, 1.0), (2, 0.5), (2, 9.0), (3, 5.0)):
        save(saver, stage, step, {"x": value})
        saver.finish()
    assert list_steps(run) == [3]


def test_rows_without_a_validation_are_no_reason_to_complain_but_a_wrong_name_is(
    run: Path, stage: ToyStage, make_saver: MakeSaver
) -> None:
    saver = make_saver(best="validation/gpt/los")
    save(saver, stage, 1, {"gpt/loss": 1.0})
    save(saver, stage, 2)
    with pytest.raises(
        CheckpointError, match=r"best is 'validation/gpt/los', but the record of step"
    ):
        save(saver, stage, 3, {"gpt/loss": 1.0, "validation/gpt/loss": 1.0})
    with pytest.raises(CheckpointError, match="best is 'gpt/los'"):
        save(make_saver(best="gpt/los"), stage, 4, {"gpt/loss": 1.0})
    assert list_steps(run)[-2:] == [3, 4]  # the steps that are done are not lost to it


def test_a_target_out_of_reach_is_a_failure_and_the_checkpoint_is_whole_here(
    run: Path,
    stage: ToyStage,
    make_saver: MakeSaver,
    target: CheckpointMirror,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unplugged(*_: object, **__: object) -> None:
        raise ConnectionError("cable out")

    saver = make_saver(target)
    with monkeypatch.context() as patch:
        patch.setattr(target._there.files, "put_file", unplugged)
        save(saver, stage, 1)
        with pytest.raises(CheckpointWriteError, match=r"step 1 .*memory://.*cable out"):
            saver.finish()
    assert list_steps(run) == [1]
    assert target.steps() == []
    save(saver, stage, 2)
    saver.finish()
    assert target.steps() == [2]


def test_what_is_at_the_target_can_be_gone_on_from(
    run: Path, tmp_path: Path, stage: ToyStage, make_saver: MakeSaver, target: CheckpointMirror
) -> None:
    saver = make_saver(target)
    save(saver, stage, 5)
    saver.finish()
    found = find_checkpoint(tmp_path / "elsewhere", "auto", target)
    assert found is not None
    files = {path.name: path.read_bytes() for path in found.iterdir()}
    assert files == {
        path.name: path.read_bytes() for path in (run / "checkpoints" / found.name).iterdir()
    }


def test_a_checkpoint_says_how_long_it_took(
    stage: ToyStage, make_saver: MakeSaver, caplog: pytest.LogCaptureFixture
) -> None:
    saver = make_saver()
    with caplog.at_level(logging.INFO):
        save(saver, stage, 1)
        saver.finish()
    assert "checkpoint of step 1: 0.00 GB in" in caplog.text
