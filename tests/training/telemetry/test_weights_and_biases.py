from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import wandb

from gsv2.training.faults.signals import Preempted
from gsv2.training.run_folder.records import read_records
from gsv2.training.schedule import RunProgress
from gsv2.training.telemetry import weights_and_biases
from gsv2.training.telemetry.tracking import TrackingConfig, open_trackers
from gsv2.training.telemetry.weights_and_biases import WandbTracker, stored_wandb_id
from tests.support.wandb_log import read_rows, read_values

PROGRESS = RunProgress(max_steps=9)
OPTIONS: dict[str, Any] = {
    "name": "run",
    "values": {},
    "done": 0,
    "progress": RunProgress(max_steps=9),
}
SURVIVES = """
import sys, time
from pathlib import Path
import psutil
from gsv2.training.schedule import RunProgress
from gsv2.training.telemetry.tracking import TrackingConfig, open_trackers
options = {"name": "run", "values": {}, "done": 0, "progress": RunProgress(max_steps=9)}
with open_trackers(TrackingConfig(wandb="offline"), Path(sys.argv[1]), **options) as trackers:
    (core,) = psutil.Process().children()
    core.kill()
    core.wait()
    time.sleep(0.5)
    for step in (1, 2, 3):
        for tracker in trackers:
            tracker.log(step, {"gpt/loss": 0.5})
"""


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wandb must not report to its makers from a test, nor find anybody's key or server."""
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    monkeypatch.setenv("NETRC", "/nowhere")
    # By settings: wandb reads its environment once in a process.
    nowhere = {"api_key": 40 * "a", "base_url": "http://127.0.0.1:9", "init_timeout": 1.0}
    for name, value in nowhere.items():
        monkeypatch.setitem(weights_and_biases._WANTED, name, value)


@pytest.mark.long
def test_a_run_that_begins_in_an_outage_goes_on_offline_under_its_id(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with open_trackers(TrackingConfig(wandb="online"), tmp_path, **OPTIONS) as trackers:
        for tracker in trackers:
            tracker.log(1, {"gpt/loss": 0.5})
    assert read_rows(tmp_path) == [{"step": 1, "gpt/loss": 0.5}]
    assert read_values(tmp_path, "run", "run_id") == [(tmp_path / "wandb_id").read_text()]
    assert caplog.text.count("CANNOT BE REACHED, this launch goes on offline") == 1
    assert f"`wandb sync {tmp_path}/wandb/*`" in caplog.text


@pytest.mark.parametrize("kind", ["AuthenticationError", "UsageError"])
def test_a_key_or_project_that_is_refused_ends_the_launch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """An `AuthenticationError` is a `CommError`, but no outage."""
    modes = []

    def init(mode: str, **options: Any) -> Any:
        modes.append(mode)
        raise getattr(wandb.errors, kind)("refused")

    monkeypatch.setattr(wandb, "init", init)
    with pytest.raises(ValueError, match=r"tracking\.wandb=online: refused"):
        WandbTracker("online", "p", tmp_path, "run", {})
    assert modes == ["online"]


@pytest.mark.long
def test_a_run_outlives_the_process_of_wandb(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SURVIVES, str(tmp_path)]
    own = {key: value for key, value in os.environ.items() if not key.startswith("WANDB_SERVICE")}
    done = subprocess.run(command, env=own, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert [row["step"] for row in read_records(tmp_path / "metrics.jsonl")] == [1, 2, 3]
    assert done.stderr.count("Weights & Biases FAILED") == 1


@pytest.mark.parametrize("ends", [None, Preempted])
def test_an_upload_that_does_not_end_is_left_to_wandb_sync(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    ends: type[BaseException] | None,
) -> None:
    """Also of a wandb that knows no limit of its own."""
    monkeypatch.setattr(weights_and_biases, "FINISH_SEC", 0.2)
    monkeypatch.setattr(weights_and_biases, "_JOIN_SEC", 0.0)
    stuck = SimpleNamespace(
        define_metric=lambda *_, **__: None,
        mark_preempting=lambda: None,
        finish=lambda exit_code: time.sleep(60),
    )
    monkeypatch.setattr(wandb, "init", lambda **_: stuck)
    tracker = WandbTracker("offline", "p", tmp_path, "run", {})
    began = time.monotonic()
    tracker.close(ends)
    assert time.monotonic() - began < 10
    assert f"`wandb sync {tmp_path}/wandb/*` brings what it lacks" in caplog.text


def test_wandb_is_told_of_the_limit_where_it_knows_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {}
    monkeypatch.setattr(wandb, "init", lambda **options: given.update(options) or wandb.init)
    monkeypatch.setattr(wandb.init, "define_metric", lambda *_, **__: None, raising=False)
    WandbTracker("offline", "p", tmp_path, "run", {})
    wanted = weights_and_biases._WANTED
    for name in wanted.keys() & wandb.Settings.model_fields.keys():
        assert getattr(given["settings"], name) == wanted[name]


def test_a_folder_that_knows_no_wandb_id_takes_that_of_the_checkpoint(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    new = stored_wandb_id(tmp_path / "a")
    assert stored_wandb_id(tmp_path / "b", new) == new
    assert stored_wandb_id(tmp_path / "b", "another") == new
    assert stored_wandb_id(tmp_path / "c") != new
