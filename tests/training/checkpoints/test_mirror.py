from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest

from gsv2.training.checkpoints.checkpoint import CheckpointDamagedError, verify_checkpoint
from gsv2.training.checkpoints.mirror import CheckpointMirror, mirror_of
from tests.training.checkpoints.test_checkpoint import FILES, damage, save


@pytest.fixture(params=["memory", "file"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> CheckpointMirror:
    root = uuid4().hex if request.param == "memory" else f"{tmp_path}/there"
    return CheckpointMirror(f"{request.param}://{root}/runs/run")


def test_a_checkpoint_comes_back_as_it_went(tmp_path: Path, target: CheckpointMirror) -> None:
    folder = save(tmp_path / "a", 7)
    target.put(folder, 7)
    fetched = target.fetch(7, tmp_path / "b")
    verify_checkpoint(fetched)
    assert {p.name: p.read_bytes() for p in fetched.iterdir()} == {
        p.name: p.read_bytes() for p in folder.iterdir()
    }
    assert target.read_state(7) == (folder / "state.json").read_bytes()
    assert target.steps() == [7]


def test_a_copy_broken_off_at_any_file_is_no_checkpoint(
    tmp_path: Path, target: CheckpointMirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the step is new or there already."""
    folder, again = save(tmp_path / "a", 1), save(tmp_path / "b", 1, "second")
    original = target._there.files.put_file
    for survived in range(len(FILES) + 1):
        target.put(folder, 1)
        calls = iter(range(survived))

        def put_file(here: str, there: str, calls: object = calls, **options: object) -> None:
            if next(calls, None) is None:  # type: ignore[call-overload]
                raise ConnectionError("cable out")
            original(here, there, **options)

        monkeypatch.setattr(target._there.files, "put_file", put_file)
        for step in (1, 2):
            with pytest.raises(OSError, match="cable out"):
                target.put(again, step)
        assert target.steps() == []
        monkeypatch.setattr(target._there.files, "put_file", original)


def test_the_marker_is_never_seen_half(
    tmp_path: Path, target: CheckpointMirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken_off(*_: object, **__: object) -> None:
        raise ConnectionError("cable out")

    monkeypatch.setattr(target._there.files, "mv", broken_off)
    with pytest.raises(OSError, match="cable out"):
        target.put(save(tmp_path, 1), 1)
    assert target.steps() == []


def test_a_removed_checkpoint_is_gone(tmp_path: Path, target: CheckpointMirror) -> None:
    for step in (1, 2):
        target.put(save(tmp_path, step), step)
    target.remove(1)
    assert target.steps() == [2]
    assert [
        name for name in target._there.files.find(target._there.root) if "step_00000001" in name
    ] == []


def test_a_list_of_checksums_cut_at_a_line_is_damage(tmp_path: Path) -> None:
    target = CheckpointMirror(f"file://{tmp_path}/there")
    target.put(save(tmp_path / "a", 1), 1)
    damage(tmp_path / "there" / "checkpoints" / "step_00000001" / "SHA256SUMS", "last line")
    with pytest.raises(CheckpointDamagedError, match=r"from file://.*no line for state\.json"):
        target.fetch(1, tmp_path / "b")


def test_files_that_an_earlier_copy_of_the_step_has_left_are_no_part_of_the_next(
    tmp_path: Path, target: CheckpointMirror
) -> None:
    folder = save(tmp_path / "a", 1)
    there = f"{target._there.root}/step_00000001"
    target._there.files.makedirs(there)
    target._there.files.pipe_file(f"{there}/gpt.ema.safetensors", b"of an earlier config")
    target.put(folder, 1)
    assert len(list(target.fetch(1, tmp_path / "b").iterdir())) == len(FILES) + 1


def test_what_is_left_of_a_copy_broken_off_is_cleaned_and_nothing_else(
    tmp_path: Path, target: CheckpointMirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken_off(*_: object, **__: object) -> None:
        raise ConnectionError("cable out")

    target.clean()  # there is nothing yet
    target.put(save(tmp_path, 1), 1)
    with monkeypatch.context() as patch:
        patch.setattr(target._there.files, "mv", broken_off)
        with pytest.raises(OSError, match="cable out"):
            target.put(save(tmp_path, 2), 2)
    target._there.files.pipe_file(f"{target._there.root}/notes.txt", b"of a person")
    assert target._there.names() == ["notes.txt", "step_00000001", "step_00000002"]
    target.clean()
    assert target._there.names() == ["notes.txt", "step_00000001"]
    assert target.steps() == [1]


def test_a_target_that_can_be_written_is_left_as_it_was(
    tmp_path: Path, target: CheckpointMirror
) -> None:
    target.put(save(tmp_path, 1), 1)
    before = target._there.files.find(target._there.root)
    target.check_writable()
    assert target._there.files.find(target._there.root) == before
    assert target._there.names() == ["step_00000001"]


@pytest.mark.parametrize("broken", ["makedirs", "put_file", "mv", "cat_file", "rm"])
def test_whatever_a_copy_needs_is_tried(
    target: CheckpointMirror, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError("not allowed")

    monkeypatch.setattr(target._there.files, broken, refused)
    with pytest.raises(OSError, match=r"checkpoint\.target cannot be written: .*not allowed"):
        target.check_writable()


@pytest.mark.parametrize("how", ["flip", "cut", "remove"])
def test_what_comes_damaged_is_not_kept(tmp_path: Path, how: str) -> None:
    target = CheckpointMirror(f"file://{tmp_path}/there")
    target.put(save(tmp_path / "a", 1), 1)
    damage(tmp_path / "there" / "checkpoints" / "step_00000001" / "gpt.safetensors", how)
    with pytest.raises(CheckpointDamagedError, match=r"gpt\.safetensors"):
        target.fetch(1, tmp_path / "b")
    assert list((tmp_path / "b" / "checkpoints").iterdir()) == []


def test_a_kind_of_url_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ValueError, match="nonsense:// is no kind of URL"):
        CheckpointMirror("nonsense://bucket/run")


def test_passwords_do_not_reach_the_log() -> None:
    target = CheckpointMirror("memory://user:secret@host/run")
    assert "secret" not in target.name


def test_runs_of_one_target_lie_side_by_side() -> None:
    target = mirror_of("memory://bucket/runs/", "gpt")
    assert target is not None
    assert target.name == "memory://bucket/runs/gpt"
    assert mirror_of(None, "gpt") is None


def test_a_folder_that_cannot_be_made_is_a_failure_of_the_target_by_name(tmp_path: Path) -> None:
    target = CheckpointMirror("file:///proc/gsv2/run")
    with pytest.raises(OSError, match=r"^file:///proc/gsv2/run: .*No such file"):
        target.put(save(tmp_path, 1), 1)
