from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gsv2.preflight import together
from gsv2.preflight.report import Finding
from gsv2.preflight.together import check_clocks, check_run_folder, check_sums, check_target
from gsv2.training.distributed import Distributed
from tests.training.crowd import run_ranks


class TwoRanks:
    """The first of two; what the other one gathers is `beside` of what this one does."""

    rank, world, is_main = 0, 2, True
    device = torch.device("cpu")

    def __init__(self, beside: Callable[[Any], Any] = lambda value: value) -> None:
        self._beside = beside

    def gather(self, value: Any) -> list[Any]:
        return [value, self._beside(value)]

    def barrier(self) -> None:
        pass


def folders_of(ranks: Any, folder: Path) -> Finding:
    ranks.broadcast = lambda value, source=0: ranks.gather(value)[source]
    ranks.on_main = lambda action: Distributed.on_main(ranks, action)
    return check_run_folder(ranks, folder, timeout_sec=0.3)


def test_a_folder_that_all_ranks_see_is_left_as_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "new"
    for found in run_ranks(3, lambda ranks: folders_of(ranks, folder)):
        assert isinstance(found, Finding)
        assert found.status == "ok"
    assert list(tmp_path.iterdir()) == []
    kept = tmp_path / "kept"
    kept.mkdir()
    run_ranks(2, lambda ranks: folders_of(ranks, kept))
    assert kept.is_dir()
    assert list(kept.iterdir()) == []


def test_a_folder_of_each_machine_alone_is_found_by_all_ranks(tmp_path: Path) -> None:
    own = [tmp_path / "shared", tmp_path / "local", tmp_path / "shared"]
    found = run_ranks(3, lambda ranks: folders_of(ranks, own[ranks.rank]))
    assert len({repr(each) for each in found}) == 3 - 1, "the paths differ, the verdict does not"
    for each in found:
        assert isinstance(each, Finding)
        assert each.status == "fail"
        assert "not seen by ranks [1]" in each.detail


def test_a_folder_that_cannot_be_written_fails_on_all_ranks(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for found in run_ranks(2, lambda ranks: folders_of(ranks, file / "run")):
        assert isinstance(found, Finding)
        assert found.status == "fail"
        assert "cannot be written" in found.detail


@pytest.mark.parametrize(("ahead", "status"), [(0.0, "ok"), (5.0, "warn"), (300.0, "fail")])
def test_clocks_that_are_apart_are_told(ahead: float, status: str) -> None:
    found = check_clocks(TwoRanks(lambda time: time - ahead))  # type: ignore[arg-type]
    assert found.status == status
    assert f"{ahead:.0f}." in found.detail


def test_sums_are_checked_and_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together, "sum_over_ranks", lambda mine: mine + 2)
    found = check_sums(TwoRanks(), nodes=1)  # type: ignore[arg-type]
    assert found.status == "ok"
    assert "GB/s" in found.detail


def test_a_wrong_sum_on_one_rank_fails_on_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together, "sum_over_ranks", lambda mine: mine + 2)
    other = TwoRanks(lambda mine: (7, mine[1]))
    found = check_sums(other, nodes=1)  # type: ignore[arg-type]
    assert found == (
        "all-reduce", "fail", "wrong sums on ranks [1]: network, driver or GPU is broken",
    )  # fmt: skip
    monkeypatch.setattr(together, "sum_over_ranks", lambda mine: mine)
    assert check_sums(TwoRanks(), nodes=1).status == "fail"  # type: ignore[arg-type]


def test_one_rank_has_nobody_to_sum_with(distributed: Distributed) -> None:
    assert check_sums(distributed, nodes=1) == ("all-reduce", "ok", "one rank")


def test_a_target_is_written_and_left_as_it_was(distributed: Distributed, tmp_path: Path) -> None:
    found = check_target(distributed, f"file://{tmp_path}/target")
    assert found.status == "ok", found
    assert list((tmp_path / "target").iterdir()) == []
    assert check_target(distributed, "memory://bucket/runs").status == "ok"
    assert check_target(distributed, None).status == "ok"


def test_a_target_that_cannot_be_written_is_named(distributed: Distributed, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = check_target(distributed, f"file://{tmp_path}/file/target")
    assert found.status == "fail"
    assert "file/target" in found.detail
    assert "no kind of URL" in check_target(distributed, "nosuch://bucket").detail
