from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from gsv2.training.distributed import background
from gsv2.training.distributed.background import (
    in_background,
    is_over,
    on_main_in_background,
    wait_for_main,
)
from gsv2.training.distributed.ranks import Distributed
from tests.support.processes import environment
from tests.support.thread_ranks import run_ranks


def test_a_result_and_an_error_come_to_who_asks() -> None:
    assert in_background("x", lambda: 3).result(20) == 3
    failed = in_background("x", lambda: 1 // 0)
    assert is_over(failed, 20)
    with pytest.raises(ZeroDivisionError):
        failed.result()


def test_what_is_under_way_is_not_over_and_what_never_began_is() -> None:
    go = threading.Event()
    future = in_background("x", go.wait)
    assert not is_over(future, 0.01)
    go.set()
    assert is_over(future, 20)
    assert is_over(None, 0)


def test_the_end_of_the_process_waits_for_nothing() -> None:
    code = (
        "import time; from gsv2.training.distributed.background import in_background; "
        "in_background('x', lambda: time.sleep(60))"
    )
    subprocess.run([sys.executable, "-c", code], env=environment(), check=True, timeout=50)


def test_ranks_wait_in_slices_for_what_takes_the_main_rank_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(background, "SLICE_SEC", 0.01)
    enough = threading.Event()

    def run(ranks: Distributed) -> tuple[str, int]:
        slices: list[int] = []

        def work() -> str:
            assert ranks.is_main
            assert enough.wait(20)
            return "done"

        def beat() -> None:
            slices.append(1)
            if len(slices) == 3:
                enough.set()

        future = in_background("x", work) if ranks.is_main else None
        wait_for_main(ranks, lambda seconds: is_over(future, seconds), beat)
        return ranks.on_main(lambda: future.result() if future else ""), len(slices)

    first, second = run_ranks(2, run)
    assert first == second
    assert isinstance(first, tuple)
    assert first[0] == "done"
    assert first[1] >= 3


@pytest.mark.parametrize("world", [1, 2])
def test_what_the_main_rank_finds_or_fails_at_comes_to_all(world: int) -> None:
    def refuse() -> None:
        raise ValueError("of another run")

    found = run_ranks(world, lambda ranks: on_main_in_background(ranks, "x", lambda: ranks.rank))
    assert found == [0] * world
    for error in run_ranks(world, lambda ranks: on_main_in_background(ranks, "x", refuse)):
        assert isinstance(error, ValueError)
        assert str(error) == "of another run"
