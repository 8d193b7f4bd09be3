from __future__ import annotations

from pathlib import Path

import pytest

from gsv2.training.run_folder.shared import SharedFolderError, check_shared, check_writable
from tests.support.thread_ranks import run_ranks


def test_a_folder_that_all_ranks_see_is_left_as_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "new"
    assert run_ranks(3, lambda ranks: check_shared(ranks, folder, 0.3)) == [None] * 3
    assert list(tmp_path.iterdir()) == []
    kept = tmp_path / "kept"
    kept.mkdir()
    run_ranks(2, lambda ranks: check_shared(ranks, kept, 0.3))
    assert kept.is_dir()
    assert list(kept.iterdir()) == []


def test_a_folder_of_each_machine_alone_is_refused_by_all_ranks(tmp_path: Path) -> None:
    own = [tmp_path / "shared", tmp_path / "local", tmp_path / "shared"]
    for error in run_ranks(3, lambda ranks: check_shared(ranks, own[ranks.rank], 0.3)):
        assert isinstance(error, SharedFolderError)
        assert "not seen by ranks [1]: run.dir must be on storage" in str(error)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_refused_by_all_ranks(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for error in run_ranks(2, lambda ranks: check_shared(ranks, file / "run", 0.3)):
        assert isinstance(error, OSError)
        assert f"run.dir: {file}/run cannot be written" in str(error)


def test_one_rank_alone_leaves_no_trace_either(tmp_path: Path) -> None:
    check_writable(tmp_path / "runs" / "new")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="cannot be written"):
        check_writable(tmp_path / "file" / "run")
