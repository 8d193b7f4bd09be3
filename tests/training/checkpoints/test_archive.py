from __future__ import annotations

import shutil
from pathlib import Path
from uuid import uuid4

import pytest

from gsv2.training.checkpoints.archive import archive_checkpoints
from gsv2.training.checkpoints.checkpoint import CheckpointMismatchError, list_steps
from gsv2.training.checkpoints.mirror import CheckpointMirror
from gsv2.training.checkpoints.resume import find_checkpoint
from gsv2.training.distributed.ranks import Distributed
from tests.support.toy_stage import fit_toy, toy_config
from tests.training.checkpoints.test_checkpoint import names, save


def test_a_fresh_start_leaves_a_whole_run_behind_that_can_be_gone_on_from(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for step in (1, 2):
        save(tmp_path, step)
    (tmp_path / "metrics.jsonl").write_text('{"step": 2}\n')
    archive_checkpoints(tmp_path, None, 0)
    assert names(tmp_path) == []
    aside = tmp_path / "earlier" / "1"
    assert str(aside) in caplog.text
    found = find_checkpoint(tmp_path, str(aside))
    assert found == aside / "checkpoints" / "step_00000002"
    assert (aside / "metrics.jsonl").read_text() == '{"step": 2}\n'

    save(tmp_path, 7)
    archive_checkpoints(tmp_path, None, 0)
    assert (list_steps(aside), list_steps(tmp_path / "earlier" / "2")) == ([1, 2], [7])


def test_going_back_in_a_run_moves_only_what_is_left(tmp_path: Path) -> None:
    found, _, _ = (save(tmp_path, step) for step in (1, 2, 3))
    archive_checkpoints(tmp_path, found, 1)
    assert (list_steps(tmp_path), list_steps(tmp_path / "earlier" / "1")) == ([1], [2, 3])
    archive_checkpoints(tmp_path, found, 1)
    assert not (tmp_path / "earlier" / "2").exists()


CONFIG = "checkpoint: {every_steps: 100}\ntrainer: {max_steps: 500}\n"


@pytest.mark.parametrize("config", [CONFIG, None, "[", "a: 1"])
def test_records_of_a_run_whose_checkpoints_are_gone_are_set_aside_by_name(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, config: str | None
) -> None:
    """Also where nobody can tell whether it ever had one."""
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\n{"step": 100}\n')
    (tmp_path / "quarantine.jsonl").write_text('{"step": 2}\n')
    if config is not None:
        (tmp_path / "config.yaml").write_text(config)
    archive_checkpoints(tmp_path, None, 0)
    aside = tmp_path / "earlier" / "1"
    for name in ("metrics.jsonl", "quarantine.jsonl"):
        assert (aside / name).read_bytes() == (tmp_path / name).read_bytes()
    assert (
        f"no checkpoint: it begins again at step 0; its records are now in {aside}" in caplog.text
    )


@pytest.mark.parametrize("rows", ["", '{"step": 1}\n{"step": 99}\n', None])
def test_a_run_killed_before_its_first_checkpoint_leaves_no_folder(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, rows: str | None
) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG)
    if rows is not None:
        (tmp_path / "metrics.jsonl").write_text(rows)
    archive_checkpoints(tmp_path, None, 0)
    assert not (tmp_path / "earlier").exists()
    assert ("before its first checkpoint (step 100)" in caplog.text) == bool(rows)


def test_a_trainer_says_that_the_checkpoints_of_its_run_are_gone(
    tmp_path: Path, distributed: Distributed, caplog: pytest.LogCaptureFixture
) -> None:
    fit_toy(toy_config(tmp_path), distributed)
    run = tmp_path / "run"
    before = (run / "metrics.jsonl").read_bytes()
    shutil.rmtree(run / "checkpoints")
    _, state = fit_toy(toy_config(tmp_path), distributed)
    assert state.step == 6
    assert (run / "earlier" / "1" / "metrics.jsonl").read_bytes() == before
    assert "has records in metrics.jsonl but no checkpoint" in caplog.text


def test_after_the_checkpoint_of_another_run_no_own_one_may_be_fallen_back_to(
    tmp_path: Path,
) -> None:
    run = tmp_path / "run"
    save(run, 1)
    archive_checkpoints(run, save(tmp_path / "other", 5), 5)
    assert (list_steps(run), list_steps(run / "earlier" / "1")) == ([], [1])


def test_later_checkpoints_at_the_target_are_not_taken_away(tmp_path: Path) -> None:
    target = CheckpointMirror(f"memory://{uuid4().hex}/runs/run")
    target.put(save(tmp_path / "old", 4), 4)
    save(tmp_path, 2)
    with pytest.raises(CheckpointMismatchError, match=r"checkpoints up to step 4, .* step 0"):
        archive_checkpoints(tmp_path, None, 0, target)
    assert (target.steps(), list_steps(tmp_path)) == ([4], [2])
    archive_checkpoints(tmp_path, save(tmp_path, 4), 4, target)
