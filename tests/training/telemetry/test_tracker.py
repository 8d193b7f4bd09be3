from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import pytest

from gsv2.training.telemetry.tracker import GuardedTracker


class Fragile:
    """Fails at step 2, and when it is closed."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []

    def advance(self, step: int) -> None:
        self.calls.append(("advance", step))

    def log(self, step: int, row: Mapping[str, Any]) -> None:
        self.calls.append(("log", step))
        if step == 2:
            raise ConnectionResetError("Connection lost")

    def show(self, step: int, files: Any) -> None:
        self.calls.append(("show", step))

    def close(self, kind: type[BaseException] | None = None) -> None:
        self.calls.append(("close", kind))
        raise ConnectionResetError("Connection lost")


def test_a_tracker_that_fails_is_dropped_and_that_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tracker = Fragile()
    guarded = GuardedTracker("TensorBoard", tracker)
    for step in (1, 2, 3):
        guarded.log(step, {})
        guarded.advance(step)
        guarded.show(step, [])
    guarded.close(KeyError, None, None)
    assert tracker.calls == [
        ("log", 1), ("advance", 1), ("show", 1), ("log", 2), ("close", KeyError),
    ]  # fmt: skip
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "TensorBoard FAILED" in record.message
    assert "ConnectionResetError: Connection lost" in record.message


def test_an_end_that_fails_is_not_that_of_the_run(caplog: pytest.LogCaptureFixture) -> None:
    GuardedTracker("TensorBoard", Fragile()).close(None, None, None)
    assert "TensorBoard FAILED" in caplog.text
