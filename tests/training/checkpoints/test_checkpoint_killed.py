"""A process killed while it saves, at every moment."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from gsv2.files import remove_folder
from gsv2.training.checkpoints import tensor_file
from gsv2.training.checkpoints.checkpoint import (
    checkpoint_folder,
    clean_checkpoints,
    find_component,
)
from gsv2.training.checkpoints.mirror import CheckpointMirror
from gsv2.training.checkpoints.resume import find_checkpoint
from tests.training.checkpoints.test_checkpoint import names, save


class Killed(BaseException):
    """The process is gone."""


@contextmanager
def dying_at(moment: int, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Die in the operation of this number; nothing happens on the disk after it.

    Operations are all that change a disk: make, write (half of the bytes are written), sync,
    rename, remove.
    """
    clock = 0

    def mortal(original: Callable[..., Any], dying: Callable[..., Any] | None = None) -> Any:
        def run(*args: Any, **options: Any) -> Any:
            nonlocal clock
            clock += 1
            if clock == moment and dying is not None:
                dying(*args)
            if clock >= moment:
                raise Killed
            return original(*args, **options)

        return run

    def write_half(stream: Any, chunk: memoryview) -> None:
        stream.write(chunk[: len(chunk) // 2])

    def remove_half(folder: Path, **_: Any) -> None:
        for file in sorted(Path(folder).glob("*"))[:1]:
            file.unlink()

    with patch.context() as patches:
        patches.setattr(Path, "mkdir", mortal(Path.mkdir))
        patches.setattr(Path, "rename", mortal(Path.rename))
        patches.setattr(os, "fsync", mortal(os.fsync))
        patches.setattr(shutil, "rmtree", mortal(shutil.rmtree, remove_half))
        patches.setattr(tensor_file, "_write_all", mortal(tensor_file._write_all, write_half))
        yield


def clean_with_deaths(run: Path, patch: pytest.MonkeyPatch) -> None:
    """Do what a launch begins with, in launches that are killed later and later."""
    for moment in range(1, 5):
        with dying_at(moment, patch), suppress(Killed):
            clean_checkpoints(run)
    clean_checkpoints(run)


@pytest.mark.parametrize("step", [2, 1], ids=["new step", "same step again"])
def test_killed_at_any_moment_a_save_leaves_the_newest_checkpoint_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """Also while the run is cleaned of a death, and while old checkpoints are removed."""

    def save_and_prune(run: Path) -> None:
        save(run, step, "second")
        remove_folder(checkpoint_folder(run, 0))

    was_killed, outcomes, moment = True, set(), 0
    while was_killed:
        moment += 1
        run = tmp_path / str(moment)
        save(run, 0)
        save(run, 1)
        (run / "checkpoints" / ".tmp-step_00000009").mkdir()
        (run / "checkpoints" / ".tmp-step_00000009" / "half").write_text("half")
        was_killed = False
        with dying_at(moment, monkeypatch):
            try:
                save_and_prune(run)
            except Killed:
                was_killed = True
        clean_with_deaths(run, monkeypatch)
        found = find_checkpoint(run, "auto")
        assert found is not None
        content = (found / "state.json").read_text().partition(" ")[0]
        assert (found.name, content) in {
            ("step_00000001", "first"),
            (f"step_{step:08d}", "second"),
        }
        outcomes.add(content)
        save(run, 3, "third")  # the next launch goes on
        assert not any(name.startswith(".tmp") for name in names(run))
        assert find_component(run, "gpt").read_text().startswith("third")
    assert moment > 15
    assert outcomes == {"first", "second"}


def test_killed_at_any_moment_a_fetch_leaves_what_was_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = CheckpointMirror(f"file://{tmp_path}/there")
    target.put(save(tmp_path, 1, "second"), 1)
    was_killed, outcomes, moment = True, set(), 0
    while was_killed:
        moment += 1
        run = tmp_path / str(moment)
        save(run, 1)
        was_killed = False
        with dying_at(moment, monkeypatch):
            try:
                target.fetch(1, run)
            except Killed:
                was_killed = True
        clean_with_deaths(run, monkeypatch)
        found = find_checkpoint(run, "auto")
        assert found == checkpoint_folder(run, 1)
        outcomes.add((found / "state.json").read_text().partition(" ")[0])
    assert outcomes == {"first", "second"}
