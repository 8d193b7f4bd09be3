from __future__ import annotations

import logging
import subprocess
from functools import partial
from pathlib import Path

import pytest

from gsv2.training.checkpoints.checkpoint import (
    CheckpointDamagedError,
    CheckpointMissingError,
    checkpoint_folder,
    clean_checkpoints,
    find_component,
    first_whole,
    list_steps,
    parse_sums,
    verify_checkpoint,
    write_checkpoint,
)
from gsv2.training.checkpoints.resume import find_checkpoint
from gsv2.training.checkpoints.tensor_file import write_hashed

FILES = ("gpt.optimizer.safetensors", "gpt.safetensors", "state.json")


def write_files(content: str, folder: Path) -> dict[str, str]:
    return {name: write_hashed(folder / name, [f"{content} {name}".encode()]) for name in FILES}


def save(run: Path, step: int, content: str = "first") -> Path:
    return write_checkpoint(run, step, partial(write_files, content))


def names(run: Path) -> list[str]:
    return sorted(path.name for path in (run / "checkpoints").iterdir())


def damage(file: Path, how: str) -> None:
    content = bytearray(file.read_bytes())
    content[0] ^= 1
    match how:
        case "flip":
            file.write_bytes(content)
        case "cut":
            file.write_bytes(b"")
        case "remove":
            file.unlink()
        case "last line":
            file.write_text("".join(file.read_text().splitlines(keepends=True)[:-1]))
        case "unreadable":
            file.unlink()
            file.symlink_to("/proc/self/mem")  # read() is an I/O error, also for root


def test_a_checkpoint_is_named_by_its_step_and_checked_by_sha256sum(tmp_path: Path) -> None:
    folder = save(tmp_path, 1000)
    assert folder == tmp_path / "checkpoints" / "step_00001000"
    subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=folder, check=True)
    assert list_steps(tmp_path) == [1000]


def test_a_step_that_is_saved_again_is_replaced(tmp_path: Path) -> None:
    save(tmp_path, 1)
    folder = save(tmp_path, 1, "second")
    assert (folder / "state.json").read_text() == "second state.json"
    assert names(tmp_path) == ["step_00000001"]


def test_a_failed_save_leaves_the_earlier_checkpoint_and_no_rest(tmp_path: Path) -> None:
    save(tmp_path, 1)

    def fail(folder: Path) -> dict[str, str]:
        (folder / "gpt.safetensors").write_text("half")
        raise OSError("no space left on device")

    for step in (1, 2):
        with pytest.raises(OSError, match="no space left"):
            write_checkpoint(tmp_path, step, fail)
    assert names(tmp_path) == ["step_00000001"]
    assert (checkpoint_folder(tmp_path, 1) / "state.json").read_text() == "first state.json"


def test_leftovers_of_a_killed_save_are_never_found_and_are_cleaned(tmp_path: Path) -> None:
    whole = save(tmp_path, 1)
    leftover = tmp_path / "checkpoints" / ".tmp-step_00000002"
    leftover.mkdir()
    (leftover / "gpt.safetensors").write_text("half")
    assert find_checkpoint(tmp_path, "auto") == whole
    clean_checkpoints(tmp_path)
    assert names(tmp_path) == ["step_00000001"]


@pytest.mark.parametrize("name", ["gpt.safetensors", "state.json", "SHA256SUMS"])
@pytest.mark.parametrize("how", ["flip", "cut", "remove"])
def test_a_damaged_newest_falls_back_loudly(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, how: str
) -> None:
    older, newest = save(tmp_path, 1), save(tmp_path, 2)
    damage(newest / name, how)
    with caplog.at_level(logging.WARNING):
        assert find_checkpoint(tmp_path, "auto") == older
    assert "DAMAGED CHECKPOINT" in caplog.text
    assert "step_00000002" in caplog.text


@pytest.mark.parametrize("num_lines", range(len(FILES)))
def test_a_list_of_checksums_that_was_cut_after_any_line_is_damage(
    tmp_path: Path, num_lines: int
) -> None:
    older, newest = save(tmp_path, 1), save(tmp_path, 2)
    sums = newest / "SHA256SUMS"
    sums.write_text("".join(sums.read_text().splitlines(keepends=True)[:num_lines]))
    assert find_checkpoint(tmp_path, "auto") == older
    with pytest.raises(CheckpointDamagedError, match="SHA256SUMS"):
        verify_checkpoint(newest)
    if num_lines < 2:
        assert find_component(tmp_path, "gpt") == older / "gpt.safetensors"


def test_a_checkpoint_has_a_state(tmp_path: Path) -> None:
    folder = save(tmp_path, 1)
    damage(folder / "SHA256SUMS", "last line")
    (folder / "state.json").unlink()
    with pytest.raises(CheckpointDamagedError, match=r"SHA256SUMS has no line for state\.json"):
        verify_checkpoint(folder)


@pytest.mark.parametrize("name", ["gpt.safetensors", "SHA256SUMS"])
def test_a_newest_that_the_disk_cannot_read_falls_back_loudly(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    older, newest = save(tmp_path, 1), save(tmp_path, 2)
    damage(newest / name, "unreadable")
    assert find_checkpoint(tmp_path, "auto") == older
    assert "DAMAGED CHECKPOINT" in caplog.text
    assert "cannot be read: [Errno 5] Input/output error" in caplog.text


def test_missing_and_damaged_are_different_errors(tmp_path: Path) -> None:
    with pytest.raises(CheckpointMissingError, match="nowhere"):
        find_checkpoint(tmp_path, str(tmp_path / "nowhere"))
    (save(tmp_path, 1) / "state.json").write_text("[]")
    with pytest.raises(CheckpointDamagedError, match=r"state\.json does not match"):
        find_checkpoint(tmp_path, str(tmp_path / "checkpoints" / "step_00000001"))
    with pytest.raises(CheckpointDamagedError, match="no checkpoint is whole"):
        find_checkpoint(tmp_path, "auto")


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


def test_of_a_checkpoint_only_the_component_wanted_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, opened = save(tmp_path, 1), []
    original = Path.open
    monkeypatch.setattr(Path, "open", lambda p, *a, **k: opened.append(p) or original(p, *a, **k))
    find_component(tmp_path, "gpt")
    assert {path.name for path in opened} == {"gpt.safetensors", "SHA256SUMS"}
    damage(folder / "gpt.optimizer.safetensors", "flip")  # so that it does not matter
    assert find_component(tmp_path, "gpt") == folder / "gpt.safetensors"


def test_a_damaged_component_is_passed_over_in_a_run_and_refused_in_a_checkpoint(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    older, newest = save(tmp_path, 1), save(tmp_path, 2)
    damage(newest / "gpt.safetensors", "flip")
    assert find_component(tmp_path, "gpt") == older / "gpt.safetensors"
    assert "DAMAGED CHECKPOINT" in caplog.text
    with pytest.raises(CheckpointDamagedError, match=r"gpt\.safetensors does not match"):
        find_component(newest, "gpt")


def test_a_missing_component_is_named(tmp_path: Path) -> None:
    save(tmp_path, 1)
    for path in (tmp_path, tmp_path / "nowhere", checkpoint_folder(tmp_path, 1)):
        with pytest.raises(CheckpointMissingError, match=r"no vits2\.safetensors in"):
            find_component(path, "vits2")


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "SHA256SUMS", ""])
def test_sums_cannot_name_files_outside_the_folder(name: str) -> None:
    with pytest.raises(CheckpointDamagedError, match="has the line"):
        parse_sums(f"{'0' * 64}  {name}\n".encode(), "here")


def test_what_is_checked_first_is_returned_and_nothing_is_looked_at_after_it(
    tmp_path: Path,
) -> None:
    folder = save(tmp_path, 1)
    attempts = iter([partial(verify_checkpoint, folder), pytest.fail])
    assert first_whole(attempts) == folder
    assert first_whole([]) is None
