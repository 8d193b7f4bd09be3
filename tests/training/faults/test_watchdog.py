from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from gsv2.training.faults.failure import FlightRecorder
from gsv2.training.faults.watchdog import Watchdog, is_lost_rank


def test_a_rank_that_stands_still_is_ended_with_its_stacks(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    recorder = FlightRecorder(tmp_path, 1, torch.device("cpu"))
    recorder.note(8)
    left = threading.Event()
    codes: list[int] = []

    def leave(code: int) -> None:
        codes.append(code)
        left.set()

    with Watchdog(recorder, 0.1, leave):
        assert left.wait(10)
    assert codes == [1]
    stacks = (tmp_path / "failure" / "step_00000008-rank1" / "stacks.txt").read_text()
    assert "left.wait(10)" in stacks or "test_watchdog.py" in stacks
    assert "trainer.rank_timeout_sec" in capfd.readouterr().err


def test_a_rank_that_comes_forward_goes_on(tmp_path: Path) -> None:
    recorder = FlightRecorder(tmp_path, 0, torch.device("cpu"))
    codes: list[int] = []
    with Watchdog(recorder, 0.5, codes.append):
        for _ in range(30):
            recorder.beat()
            time.sleep(0.05)
    assert codes == []


def test_errors_of_collectives_are_told_from_others() -> None:
    gloo = "[gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:2434"
    assert is_lost_rank(RuntimeError(gloo))
    assert is_lost_rank(RuntimeError("Application timeout caused pair closure"))
    assert is_lost_rank(dist.DistBackendError("NCCL watchdog timeout"))
    assert not is_lost_rank(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
