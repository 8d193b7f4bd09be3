from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from gsv2.training.distributed.agreement import PeerError, RankAgreement, StopAgreed
from gsv2.training.distributed.ranks import Distributed
from gsv2.training.faults.failure import FlightRecorder
from gsv2.training.faults.signals import StopSignals
from tests.support.thread_ranks import run_ranks


def make_agreement(distributed: Any, *, is_stopped: bool = False) -> RankAgreement:
    signals = StopSignals()
    signals.stop_requested = "SIGTERM" if is_stopped else None
    recorder = FlightRecorder(Path(), distributed.rank, torch.device("cpu"))
    return RankAgreement(distributed, signals, recorder)


def test_each_rank_gets_what_it_does_itself() -> None:
    assert run_ranks(3, lambda d: make_agreement(d).take(lambda: 10 * d.rank)) == [0, 10, 20]


def test_counts_are_those_of_all_ranks_when_settled() -> None:
    def run(distributed: Distributed) -> tuple[str, list[float]]:
        agreement, rank = make_agreement(distributed), distributed.rank
        begun = [agreement.begin(lambda n=n: (f"{rank}.{n}", (rank, n)), 2) for n in (5, 7)]
        assert begun[0].wait() == (f"{rank}.5", [3.0, 15.0])
        return begun[1].wait()

    assert run_ranks(3, run) == [(f"{rank}.7", [3.0, 21.0]) for rank in range(3)]


def test_what_ended_one_rank_is_raised_when_settled() -> None:
    def run(distributed: Distributed) -> str:
        rank = distributed.rank
        begun = make_agreement(distributed).begin(lambda: (6 // (rank - 1), (1.0, 1.0)), 2)
        try:
            begun.wait()
        except (PeerError, ZeroDivisionError) as error:
            return type(error).__name__
        return "went on"

    assert run_ranks(3, run) == ["PeerError", "ZeroDivisionError", "PeerError"]


def test_a_signal_to_one_rank_stops_all_at_the_same_place() -> None:
    def run(distributed: Distributed) -> str:
        try:
            make_agreement(distributed, is_stopped=distributed.rank == 1).take(lambda: 1)
        except StopAgreed:
            return "stopped"
        return "went on"

    assert run_ranks(3, run) == ["stopped"] * 3


def test_an_error_of_one_rank_reaches_all() -> None:
    """Of any type: the others learn its name, the rank itself raises it as it is."""

    def run(distributed: Distributed) -> int:
        return make_agreement(distributed).take(lambda: 6 // (distributed.rank - 1))

    def run_caught(distributed: Distributed) -> Any:
        try:
            return run(distributed)
        except ZeroDivisionError as error:
            return error

    found = run_ranks(3, run_caught)
    assert [type(error) for error in found] == [PeerError, ZeroDivisionError, PeerError]
    assert str(found[0]) == (
        "rank 1 cannot go on: ZeroDivisionError: integer division or modulo by zero"
    )


def test_one_process_raises_and_stops_by_itself(distributed: Distributed) -> None:
    with pytest.raises(StopAgreed):
        make_agreement(distributed, is_stopped=True).take(lambda: 1)
    with pytest.raises(OSError, match="torn"):
        make_agreement(distributed).take(lambda: (_ for _ in ()).throw(OSError("torn")))
