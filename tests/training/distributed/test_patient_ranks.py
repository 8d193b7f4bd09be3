"""Ranks that wait for each other's work."""

from __future__ import annotations

import time

import pytest

from gsv2.training.distributed import patient_ranks
from gsv2.training.distributed.patient_ranks import PatientRanks
from gsv2.training.distributed.ranks import Distributed
from tests.support.thread_ranks import run_ranks


@pytest.fixture(autouse=True)
def short_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patient_ranks, "SLICE_SEC", 0.05)


def test_each_rank_has_its_own_result_when_all_are_done() -> None:
    def run(distributed: Distributed) -> tuple[int, float]:
        ranks = PatientRanks(distributed)
        start = time.monotonic()
        result = ranks.on_all(lambda: (time.sleep(0.3 * ranks.rank), ranks.rank)[1])
        return result, time.monotonic() - start

    results = run_ranks(2, run)
    assert [result for result, _ in results] == [0, 1]
    assert all(seconds >= 0.3 for _, seconds in results)


def test_the_failure_of_one_is_that_of_all_before_the_others_have_ended() -> None:
    def run(distributed: Distributed) -> None:
        ranks = PatientRanks(distributed)

        def act() -> None:
            if ranks.rank == 1:
                raise ValueError("torn shard")
            time.sleep(5)

        ranks.on_all(act)

    start = time.monotonic()
    assert [str(failure) for failure in run_ranks(2, run)] == ["torn shard"] * 2
    assert time.monotonic() - start < 4


def test_one_rank_works_in_its_own_thread(distributed: Distributed) -> None:
    class StrangeError(Exception):
        pass

    def act() -> None:
        raise StrangeError

    with pytest.raises(StrangeError):
        PatientRanks(distributed).on_all(act)
