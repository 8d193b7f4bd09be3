from __future__ import annotations

from collections.abc import Callable

import pytest

from gsv2.preflight.report import Finding, RankReport, attempt, merge


def report(host: str, version: str = "2.12", findings: tuple[Finding, ...] = ()) -> RankReport:
    return RankReport(
        host=host,
        facts={"versions": {"python": "3.11", "torch": version}, "environment": {}},
        findings=findings,
    )


def test_what_is_equal_everywhere_is_one_line() -> None:
    found = merge([report("a"), report("b")], ["versions"])
    assert found == [
        Finding("versions", "ok", "python 3.11, torch 2.12"),
        Finding("environment", "ok", "nothing set"),
    ]


def test_what_differs_is_named_with_its_ranks_and_machines() -> None:
    reports = [report("a"), report("a"), report("b", "2.11"), report("c")]
    (found, _) = merge(reports, ["versions"])
    assert found.status == "fail"
    assert found.detail == "torch: 2.12 on ranks 0, 1, 3 (a, c), 2.11 on rank 2 (b)"


def test_a_fact_that_some_ranks_lack_differs() -> None:
    reports = [report("a"), report("b")]
    reports[1].facts["environment"]["NCCL_DEBUG"] = "INFO"  # type: ignore[index]
    found = merge(reports, ["versions"])[1]
    assert found.status == "warn", "not critical"
    assert found.detail == "NCCL_DEBUG: none on rank 0 (a), INFO on rank 1 (b)"


def test_the_worst_finding_of_a_name_counts() -> None:
    full, free = Finding("disk", "fail", "full"), Finding("disk", "ok", "9 GiB")
    reports = [report("a", findings=(free,)), *(report("b", findings=(full,)) for _ in range(6))]
    found = merge(reports, [])[-1]
    assert found == Finding("disk", "fail", "ranks 1, 2, 3, 4 and 2 more (b): full")
    assert merge(reports[:1], [])[-1] == free


def test_a_check_of_some_ranks_alone_is_one_line_too() -> None:
    """Only the first rank of each machine reads shards."""
    shards = Finding("corpus", "ok", "12 clips")
    found = merge([report("a", findings=(shards,)), report("a")], [])
    assert found[-1] == shards


@pytest.mark.parametrize("kind", [ValueError, OSError, ImportError, RuntimeError])
def test_what_a_check_raises_is_its_failure(kind: type[Exception]) -> None:
    def fail() -> str:
        raise kind("no\n  such thing")

    assert attempt("x", fail) == Finding("x", "fail", "no such thing")
    check: Callable[[], str] = lambda: "fine"  # noqa: E731
    assert attempt("x", check) == Finding("x", "ok", "fine")
    assert attempt("x", lambda: Finding("x", "warn", "so so")).status == "warn"
