import os
import signal

import pytest

from gsv2.data.process_pool import LostWorkerError, ProcessPool


def work(number):
    if number == 7:
        raise ValueError("seven")
    return number, os.getpid()


def die(number):
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


@pytest.mark.parametrize("workers", [0, 2])
def test_results_come_in_order_and_errors_where_they_belong(workers):
    results = ProcessPool(workers).map(work, range(10))
    first = [next(results) for _ in range(7)]
    assert [number for number, _ in first] == list(range(7))
    assert (os.getpid() in {pid for _, pid in first}) == (workers == 0)
    with pytest.raises(ValueError, match="seven"):
        next(results)


def test_items_are_taken_only_a_little_ahead():
    taken = []
    results = ProcessPool(1).map(abs, (taken.append(n) or n for n in range(100)))
    next(results)
    assert len(taken) <= 5
    results.close()


def test_a_worker_that_the_system_kills_is_one_line_with_the_items_in_flight():
    with pytest.raises(
        LostWorkerError, match=r"ended from outside .* at one of \d items, \d to 3;"
    ):
        list(ProcessPool(1).map(die, range(4)))
