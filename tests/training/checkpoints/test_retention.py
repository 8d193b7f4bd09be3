from __future__ import annotations

from typing import Any

import pytest

from gsv2.training.checkpoints.config import CheckpointConfig
from gsv2.training.checkpoints.retention import Retention, steps_to_keep

NAN = float("nan")


@pytest.mark.parametrize(
    ("config", "kept"),
    [
        ({"keep_last": 1}, {60}),
        ({"keep_last": 3}, {40, 50, 60}),
        ({"keep_last": 9}, {10, 20, 30, 40, 50, 60}),
        ({"keep_last": 1, "keep_every_steps": 20}, {20, 40, 60}),
        ({"keep_last": 2, "keep_every_steps": 30}, {30, 50, 60}),
        ({"keep_last": 1, "best": "x"}, {20, 60}),
        ({"keep_last": 1, "best": "x", "keep_every_steps": 30}, {20, 30, 60}),
    ],
)
def test_the_newest_every_nth_and_the_best_stay(config: dict[str, Any], kept: set[int]) -> None:
    values = {10: 2.0, 20: 1.0, 30: 1.5, 40: NAN, 50: 1.0} if "best" in config else {}
    steps = [60, 10, 30, 20, 50, 40]
    assert steps_to_keep(steps, 60, values, CheckpointConfig(every_steps=10, **config)) == kept


def test_steps_of_a_past_that_was_left_go_however_good_they_were() -> None:
    config = CheckpointConfig(keep_last=9, best="x", every_steps=10, keep_every_steps=10)
    kept = steps_to_keep([10, 20, 30, 40], 20, {10: 2.0, 40: 0.1}, config)
    assert kept == {10, 20}


def test_values_that_are_no_numbers_are_never_best() -> None:
    config = CheckpointConfig(keep_last=1, best="x")
    assert steps_to_keep([1, 2, 3], 3, {1: NAN, 2: float("inf")}, config) == {3}


def test_the_newest_always_stays() -> None:
    config = CheckpointConfig(keep_last=1, best="x")
    assert steps_to_keep([1, 2], 2, {1: 0.0, 2: 9.0}, config) == {1, 2}


def test_states_are_read_once_and_one_that_is_damaged_is_never_best() -> None:
    states = {1: b'{"values": {"x": 2.0}}', 2: b"torn", 3: b'{"values": {}}', 4: b"{}"}
    read, removed = [], []

    def look(step: int) -> bytes:
        read.append(step)
        return states[step]

    retention = Retention(CheckpointConfig(keep_last=1, best="x"))
    retention.prune(3, lambda: [1, 2, 3], look, removed.append)
    assert (read, removed) == ([1, 2, 3], [2])
    retention.prune(4, lambda: [1, 3, 4], look, removed.append)
    assert (read[3:], removed) == ([4], [2, 3])


def test_a_state_that_is_gone_is_never_best_and_one_out_of_reach_stays_until_it_is_read(
    caplog: pytest.LogCaptureFixture,
) -> None:
    errors: dict[int, OSError] = {1: FileNotFoundError("no state"), 2: OSError("cable out")}
    removed: list[int] = []

    def look(step: int) -> bytes:
        if step in errors:
            raise errors[step]
        return b'{"values": {"x": 2.0}}'

    retention = Retention(CheckpointConfig(keep_last=1, best="x"))
    retention.prune(3, lambda: [1, 2, 3], look, removed.append)
    assert removed == [1]
    assert "no x of the checkpoint of step 2: cable out" in caplog.text
    errors.clear()
    retention.prune(4, lambda: [2, 3, 4], look, removed.append)
    assert removed == [1, 3]  # of equal ones the first is the best


def test_one_that_cannot_be_removed_is_told_and_the_others_go(
    caplog: pytest.LogCaptureFixture,
) -> None:
    removed: list[int] = []

    def remove(step: int) -> None:
        if step == 1:
            raise PermissionError("not yours")
        removed.append(step)

    def unplugged() -> list[int]:
        raise OSError("cable out")

    retention = Retention(CheckpointConfig(keep_last=1))
    retention.prune(3, lambda: [1, 2, 3], pytest.fail, remove)
    assert removed == [2]
    assert "OLD CHECKPOINT NOT REMOVED, of step 1: not yours" in caplog.text
    retention.prune(3, unplugged, pytest.fail, remove)
    assert "NOT PRUNED after step 3: cable out" in caplog.text
