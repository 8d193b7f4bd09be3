from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gsv2.preflight import collective_checks
from gsv2.preflight.collective_checks import (
    check_clocks,
    check_run_folder,
    check_sums,
    check_target,
)
from gsv2.preflight.report import Finding
from gsv2.training.distributed.ranks import Distributed
from tests.support.thread_ranks import run_ranks


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


def test_a_run_folder_is_found_good_or_bad_by_all_ranks(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    other = tmp_path / "other" / "run"
    for folders, status, words in (
        ([tmp_path / "run"] * 2, "ok", "written, renamed, seen by all ranks"),
        ([tmp_path / "run", other], "fail", "not seen by ranks [1]: run.dir must be on storage"),
        ([file / "run"] * 2, "fail", f"run.dir: {file}/run cannot be written"),
    ):
        for found in run_ranks(
            2,
            lambda ranks, of_rank=folders: check_run_folder(ranks, of_rank[ranks.rank], 0.3),
        ):
            assert isinstance(found, Finding)
            assert (found.name, found.status) == ("run folder", status)
            assert words in found.detail
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(("ahead", "status"), [(0.0, "ok"), (5.0, "warn"), (300.0, "fail")])
def test_clocks_that_are_apart_are_told(ahead: float, status: str) -> None:
    found = check_clocks(TwoRanks(lambda time: time - ahead))  # type: ignore[arg-type]
    assert found.status == status
    assert f"{ahead:.0f}." in found.detail


def test_sums_are_checked_and_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collective_checks, "sum_over_ranks", lambda mine: mine + 2)
    found = check_sums(TwoRanks(), nodes=1)  # type: ignore[arg-type]
    assert found.status == "ok"
    assert "GB/s" in found.detail


def test_a_wrong_sum_on_one_rank_fails_on_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collective_checks, "sum_over_ranks", lambda mine: mine + 2)
    other = TwoRanks(lambda mine: (7, mine[1]))
    found = check_sums(other, nodes=1)  # type: ignore[arg-type]
    assert found == (
        "all-reduce", "fail", "wrong sums on ranks [1]: network, driver or GPU is broken",
    )  # fmt: skip
    monkeypatch.setattr(collective_checks, "sum_over_ranks", lambda mine: mine)
    assert check_sums(TwoRanks(), nodes=1).status == "fail"  # type: ignore[arg-type]


def test_one_rank_has_nobody_to_sum_with(distributed: Distributed) -> None:
    assert check_sums(distributed, nodes=1) == ("all-reduce", "ok", "one rank")


def test_a_target_is_written_and_left_as_it_was(distributed: Distributed, tmp_path: Path) -> None:
    target = f"file://{tmp_path}/target"
    found = check_target(distributed, target, "run")
    assert found.status == "ok", found
    assert list((tmp_path / "target" / "run" / "checkpoints").iterdir()) == []
    for url in ("memory://bucket/runs", None):
        assert check_target(distributed, url, "run").status == "ok"


def test_a_target_that_cannot_be_written_is_named(distributed: Distributed, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    url = f"file://{tmp_path}/file/target"
    found = check_target(distributed, url, "run")
    assert found.status == "fail"
    assert f"checkpoint.target cannot be written: {url}/run" in found.detail
    unknown = check_target(distributed, "nosuch://bucket", "run")
    assert "no kind of URL" in unknown.detail
