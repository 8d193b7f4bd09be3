from __future__ import annotations

import logging
from pathlib import Path
from uuid import uuid4

import pytest

from gsv2.training.checkpoints.checkpoint import (
    CheckpointDamagedError,
    CheckpointMissingError,
    clean_checkpoints,
)
from gsv2.training.checkpoints.mirror import CheckpointMirror
from gsv2.training.checkpoints.resume import find_checkpoint
from tests.training.checkpoints.test_checkpoint import damage, save


@pytest.fixture
def url() -> str:
    return f"memory://{uuid4().hex}/runs/run"


def test_a_fresh_run_and_none_start_afresh(tmp_path: Path, url: str) -> None:
    assert find_checkpoint(tmp_path / "new", "auto") is None
    assert find_checkpoint(tmp_path / "new", "auto", CheckpointMirror(url)) is None
    CheckpointMirror(url).put(save(tmp_path, 1), 1)
    assert find_checkpoint(tmp_path, "none", CheckpointMirror(url)) is None


def test_another_run_may_be_resumed_by_its_path(tmp_path: Path) -> None:
    folder = save(tmp_path / "other", 3)
    assert find_checkpoint(tmp_path / "new", str(tmp_path / "other")) == folder
    assert find_checkpoint(tmp_path / "new", str(folder)) == folder
    (tmp_path / "empty" / "checkpoints").mkdir(parents=True)
    with pytest.raises(CheckpointMissingError, match="empty"):
        find_checkpoint(tmp_path / "new", str(tmp_path / "empty"))
    with pytest.raises(CheckpointMissingError, match=f"no checkpoint at '{tmp_path}'"):
        find_checkpoint(tmp_path / "new", str(tmp_path))  # a folder of something else


def test_a_fresh_machine_goes_on_from_the_target(tmp_path: Path, url: str) -> None:
    for step in (1, 2):
        CheckpointMirror(url).put(save(tmp_path / "old", step), step)
    found = find_checkpoint(tmp_path / "new", "auto", CheckpointMirror(url))
    assert found == tmp_path / "new" / "checkpoints" / "step_00000002"
    assert (found / "state.json").read_text() == "first state.json"


def test_the_newest_counts_wherever_it_is(tmp_path: Path, url: str) -> None:
    CheckpointMirror(url).put(save(tmp_path / "old", 2), 2)
    here = save(tmp_path / "new", 3)
    assert find_checkpoint(tmp_path / "new", "auto", CheckpointMirror(url)) == here
    CheckpointMirror(url).put(save(tmp_path / "old", 4), 4)
    found = find_checkpoint(tmp_path / "new", "auto", CheckpointMirror(url))
    assert found is not None
    assert found.name == "step_00000004"


def test_a_checkpoint_damaged_here_is_fetched_again_before_an_older_one_is_used(
    tmp_path: Path, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    save(tmp_path, 1)
    newest = save(tmp_path, 2)
    CheckpointMirror(url).put(newest, 2)
    damage(newest / "gpt.safetensors", "flip")
    with caplog.at_level(logging.WARNING):
        assert find_checkpoint(tmp_path, "auto", CheckpointMirror(url)) == newest
    assert "DAMAGED CHECKPOINT" in caplog.text
    assert find_checkpoint(tmp_path, "auto") == newest


def test_a_damaged_copy_at_the_target_falls_back_loudly(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    there = tmp_path / "there"
    for step in (1, 2):
        CheckpointMirror(f"file://{there}").put(save(tmp_path / "old", step), step)
    damage(there / "checkpoints" / "step_00000002" / "gpt.safetensors", "flip")
    found = find_checkpoint(tmp_path / "new", "auto", CheckpointMirror(f"file://{there}"))
    assert found is not None
    assert found.name == "step_00000001"
    assert "DAMAGED CHECKPOINT" in caplog.text


def test_a_target_out_of_reach_stops_the_run_instead_of_starting_afresh(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = CheckpointMirror(url)

    def unplugged(*_: object) -> None:
        raise RuntimeError("no route to host")

    monkeypatch.setattr(target._there.files, "glob", unplugged)
    with pytest.raises(OSError, match=r"runs/run/checkpoints: RuntimeError: no route to host"):
        find_checkpoint(tmp_path, "auto", target)


def test_a_run_or_a_checkpoint_at_a_url_is_fetched_beside_those_of_this_run(
    tmp_path: Path, url: str
) -> None:
    for step in (1, 2):
        CheckpointMirror(url).put(save(tmp_path / "old", step, "other"), step)
    own = save(tmp_path / "new", 2)
    for resume, name in {
        url: "step_00000002",
        f"{url}/checkpoints/step_00000001": "step_00000001",
    }.items():
        found = find_checkpoint(tmp_path / "new", resume)
        assert found is not None
        assert found.name == name
        assert (found / "state.json").read_text() == "other state.json"
    assert (own / "state.json").read_text() == "first state.json"
    clean_checkpoints(tmp_path / "new")
    assert [path.name for path in (tmp_path / "new" / "checkpoints").iterdir()] == [own.name]


def test_a_url_without_a_checkpoint_is_missing(tmp_path: Path, url: str) -> None:
    for there in (url, f"{url}/checkpoints/step_00000001"):
        with pytest.raises(CheckpointMissingError, match="memory://"):
            find_checkpoint(tmp_path, there)


def test_a_damaged_checkpoint_that_is_asked_for_is_an_error(tmp_path: Path) -> None:
    folder = save(tmp_path / "other", 1)
    damage(folder / "state.json", "cut")
    with pytest.raises(CheckpointDamagedError, match=r"state\.json does not match"):
        find_checkpoint(tmp_path / "new", str(folder))
