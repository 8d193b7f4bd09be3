from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gsv2.folder_lock import is_alive
from gsv2.training.distributed.ranks import Distributed
from gsv2.training.faults.signals import Preempted
from gsv2.training.run_folder.status import STATUS_FILE, read_status, recorded_status
from tests.support.toy_stage import fit_toy, toy_config


def test_a_status_is_running_inside_and_finished_after(tmp_path: Path) -> None:
    with recorded_status(tmp_path, stage="gpt", max_steps=9):
        inside = read_status(tmp_path)
        assert (inside["state"], inside["stage"], inside["max_steps"]) == ("running", "gpt", 9)
        assert is_alive(inside)
    assert read_status(tmp_path)["state"] == "finished"


@pytest.mark.parametrize(
    ("error", "state", "reason"),
    [
        (ValueError("loss is NaN"), "failed", "ValueError: loss is NaN"),
        (Preempted("SIGTERM"), "stopped", "SIGTERM"),
        (KeyboardInterrupt(), "stopped", "KeyboardInterrupt"),
    ],
)
def test_how_a_launch_ended_is_written_down(
    tmp_path: Path, error: BaseException, state: str, reason: str
) -> None:
    with pytest.raises(type(error)), recorded_status(tmp_path):
        raise error
    status = read_status(tmp_path)
    assert (status["state"], status["reason"]) == (state, reason)


def test_a_process_that_is_gone_is_not_alive_nor_one_with_its_number(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from gsv2.training.run_folder.status import *\n"
        "with recorded_status(Path(sys.argv[1])): os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, timeout=60)
    left = read_status(tmp_path)
    assert left["state"] == "running"
    assert is_alive(left) is False
    with recorded_status(tmp_path):
        mine = read_status(tmp_path)
    assert is_alive({**mine, "started": mine["started"] - 100}) is False
    assert is_alive({**mine, "host": "elsewhere"}) is None


def test_a_run_has_a_status(tmp_path: Path, distributed: Distributed) -> None:
    fit_toy(toy_config(tmp_path), distributed)
    status = json.loads((tmp_path / "run" / STATUS_FILE).read_text())
    assert (status["state"], status["stage"], status["max_steps"]) == ("finished", "toy", 6)
    assert read_status(tmp_path) == {}
