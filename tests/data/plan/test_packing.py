import numpy as np
import pytest

from gsv2.data.plan.packing import pack_rows


def best_fit(lengths, row_tokens):
    """Best fit decreasing as in the textbook: look at every open row."""
    rows, rooms = [], []
    for number in sorted(range(len(lengths)), key=lambda n: (-lengths[n], n)):
        fitting = [(room, -row) for row, room in enumerate(rooms) if room >= lengths[number]]
        if not fitting:
            rows.append([])
            rooms.append(row_tokens)
        row = -min(fitting)[1] if fitting else len(rows) - 1
        rows[row].append(number)
        rooms[row] -= lengths[number]
    return rows


@pytest.mark.parametrize("seed", range(4))
def test_rows_are_those_of_best_fit_decreasing(seed):
    lengths = np.random.default_rng(seed).integers(1, 400, 300)
    made, expected = pack_rows(lengths, 512), best_fit(lengths.tolist(), 512)
    sums = [sorted(int(lengths[row].sum()) for row in rows) for rows in (made, expected)]
    assert sums[0] == sums[1], "rows of equal room are alike"


def test_every_sequence_is_in_one_row_that_holds_it():
    lengths = np.random.default_rng(0).integers(1, 1000, 5000)
    rows = pack_rows(lengths, 1024)
    assert sorted(number for row in rows for number in row) == list(range(5000))
    assert max(lengths[row].sum() for row in rows) <= 1024


def test_many_rows_are_filled_to_within_a_thousandth():
    lengths = np.random.default_rng(1).gamma(3.0, 60.0, 20_000).astype(int).clip(20, 2000)
    rows = pack_rows(lengths, 4096)
    assert lengths.sum() / (4096 * len(rows)) > 0.999


def test_full_rows_and_none():
    assert pack_rows(np.array([8, 8, 8]), 8) == [[0], [1], [2]]
    assert pack_rows(np.array([], dtype=np.int64), 8) == []
