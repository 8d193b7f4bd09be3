import os

import pytest

from gsv2.data.process_pool import map_ahead


def work(number):
    if number == 7:
        raise ValueError("seven")
    return number, os.getpid()


@pytest.mark.parametrize("workers", [0, 2])
def test_results_come_in_order_and_errors_where_they_belong(workers):
    results = map_ahead(work, range(10), workers)
    first = [next(results) for _ in range(7)]
    assert [number for number, _ in first] == list(range(7))
    assert (os.getpid() in {pid for _, pid in first}) == (workers == 0)
    with pytest.raises(ValueError, match="seven"):
        next(results)


def test_items_are_taken_only_a_little_ahead():
    taken = []
    results = map_ahead(abs, (taken.append(n) or n for n in range(100)), workers=1)
    next(results)
    assert len(taken) <= 5
    results.close()
