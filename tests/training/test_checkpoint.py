from __future__ import annotations

import logging
import subprocess
from pathlib import Path

import pytest

from gsv2.training.checkpoint import (
    CheckpointConfig,
    CheckpointDamagedError,
    CheckpointMissingError,
    clean_checkpoints,
    find_checkpoint,
    find_component,
    verify_checkpoint,
    write_checkpoint,
)


def save(run: Path, step: int, content: str = "weights", keep_last: int = 9) -> Path:
    def write(folder: Path) -> None:
        (folder / "gpt.safetensors").write_text(f"{content} {step}")
        (folder / "state.json").write_text("{}")

    return write_checkpoint(run, step, write, keep_last=keep_last)


def names(run: Path) -> list[str]:
    return sorted(path.name for path in (run / "checkpoints").iterdir())


def test_a_checkpoint_is_named_by_its_step_and_checked_by_sha256sum(tmp_path: Path) -> None:
    folder = save(tmp_path, 1000)
    assert folder == tmp_path / "checkpoints" / "step_00001000"
    subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=folder, check=True)


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    for step in (1, 2, 10):
        save(tmp_path, step, keep_last=2)
    assert names(tmp_path) == ["step_00000002", "step_00000010"]


def test_checkpoints_of_a_past_that_was_left_are_removed(tmp_path: Path) -> None:
    for step in (1, 2, 3, 4):
        save(tmp_path, step)
    save(tmp_path, 3, content="other")
    assert names(tmp_path) == ["step_00000001", "step_00000002", "step_00000003"]
    found = find_component(tmp_path, "gpt")
    assert found.read_text() == "other 3"


def test_a_failed_save_leaves_the_earlier_checkpoint_and_no_rest(tmp_path: Path) -> None:
    save(tmp_path, 1)

    def fail(folder: Path) -> None:
        (folder / "gpt.safetensors").write_text("half")
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space left"):
        write_checkpoint(tmp_path, 2, fail, keep_last=1)
    assert names(tmp_path) == ["step_00000001"]


def test_leftovers_of_a_killed_save_are_never_found_and_are_cleaned(tmp_path: Path) -> None:
    whole = save(tmp_path, 1)
    leftover = tmp_path / "checkpoints" / ".tmp-step_00000002"
    leftover.mkdir()
    (leftover / "gpt.safetensors").write_text("half")
    assert find_checkpoint(tmp_path, "auto") == whole
    clean_checkpoints(tmp_path)
    assert names(tmp_path) == ["step_00000001"]


@pytest.mark.parametrize("name", ["gpt.safetensors", "state.json", "SHA256SUMS"])
@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_a_damaged_newest_falls_back_loudly(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, damage: str
) -> None:
    older, newest = save(tmp_path, 1), save(tmp_path, 2)
    file = newest / name
    content = bytearray(file.read_bytes())
    content[0] ^= 1
    match damage:
        case "flip":
            file.write_bytes(content)
        case "cut":
            file.write_bytes(b"")
        case "remove":
            file.unlink()
    with caplog.at_level(logging.WARNING):
        assert find_checkpoint(tmp_path, "auto") == older
    assert "DAMAGED CHECKPOINT" in caplog.text
    assert "step_00000002" in caplog.text


def test_missing_and_damaged_are_different_errors(tmp_path: Path) -> None:
    with pytest.raises(CheckpointMissingError, match="nowhere"):
        find_checkpoint(tmp_path, str(tmp_path / "nowhere"))
    (save(tmp_path, 1) / "state.json").write_text("[]")
    with pytest.raises(CheckpointDamagedError, match=r"state\.json does not match"):
        find_checkpoint(tmp_path, str(tmp_path / "checkpoints" / "step_00000001"))
    with pytest.raises(CheckpointDamagedError, match="no checkpoint is whole"):
        find_checkpoint(tmp_path, "auto")


def test_a_fresh_run_and_none_start_afresh(tmp_path: Path) -> None:
    assert find_checkpoint(tmp_path / "new", "auto") is None
    save(tmp_path, 1)
    assert find_checkpoint(tmp_path, "none") is None


def test_another_run_may_be_resumed_by_its_path(tmp_path: Path) -> None:
    folder = save(tmp_path / "other", 3)
    assert find_checkpoint(tmp_path / "new", str(tmp_path / "other")) == folder
    assert find_checkpoint(tmp_path / "new", str(folder)) == folder


def test_a_component_is_found_in_run_checkpoint_bundle_and_file(tmp_path: Path) -> None:
    folder = save(tmp_path, 1)
    file = folder / "gpt.safetensors"
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "gpt.safetensors").write_text("bundled")
    assert find_component(tmp_path, "gpt") == file
    assert find_component(folder, "gpt") == file
    assert find_component(file, "gpt") == file
    assert find_component(bundle, "gpt") == bundle / "gpt.safetensors"


def test_a_missing_component_is_named(tmp_path: Path) -> None:
    save(tmp_path, 1)
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(CheckpointMissingError, match=r"no vits2\.safetensors in"):
            find_component(path, "vits2")


def test_sums_cannot_name_files_outside_the_folder(tmp_path: Path) -> None:
    folder = save(tmp_path, 1)
    (tmp_path / "secret").write_text("x")
    with (folder / "SHA256SUMS").open("a") as stream:
        stream.write(f"{'0' * 64}  ../../secret\n")
    with pytest.raises(CheckpointDamagedError, match="is missing"):
        verify_checkpoint(folder)


@pytest.mark.parametrize("name", ["every_steps", "keep_last"])
def test_impossible_values_are_refused_by_name(name: str) -> None:
    with pytest.raises(ValueError, match=f"checkpoint.{name} must be at least 1, but is 0"):
        CheckpointConfig(**{name: 0})
