from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wandb
from matplotlib.image import imsave
from rich.console import Console

from gsv2.audio.wave import save_wave
from gsv2.training.faults.signals import Preempted
from gsv2.training.run_folder.records import read_records
from gsv2.training.schedule import RunProgress
from gsv2.training.telemetry import tracking
from gsv2.training.telemetry.tracker import PanelFile
from gsv2.training.telemetry.tracking import TrackingConfig, open_trackers
from tests.support.wandb_log import read_rows, read_values, rows_so_far

PROGRESS = RunProgress(max_steps=9)
OFFLINE = TrackingConfig(wandb="offline", project="p")


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wandb must not report to its makers from a test, nor find anybody's key."""
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    monkeypatch.setenv("NETRC", "/nowhere")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)


def track(folder: Path, config: TrackingConfig, steps: list[int]) -> None:
    options = {
        "name": "run",
        "values": {"seed": 0},
        "done": 0,
        "progress": RunProgress(max_steps=9),
    }
    with open_trackers(config, folder, **options) as trackers:
        for step in steps:
            for tracker in trackers:
                tracker.log(step, {"gpt/loss": 0.1 * step, "train/steps_per_sec": 2.0})
                tracker.advance(step)


def test_the_metrics_file_has_one_object_per_logged_step(tmp_path: Path) -> None:
    track(tmp_path, TrackingConfig(), [1, 2])
    assert [(r["step"], r["gpt/loss"]) for r in read_records(tmp_path / "metrics.jsonl")] == [
        (1, 0.1), (2, 0.2)
    ]  # fmt: skip


def test_what_is_no_number_is_in_the_metrics_file_alone(tmp_path: Path) -> None:
    row = {"gpt/loss": 1.0, "data/ledger": [{"lane": 0, "digest": "00ff"}]}
    options = {"name": "run", "values": {}, "done": 0, "progress": PROGRESS}
    config = TrackingConfig(wandb="offline", tensorboard=True)
    with open_trackers(config, tmp_path, **options) as trackers:
        for tracker in trackers:
            tracker.log(1, row)
    assert read_records(tmp_path / "metrics.jsonl") == [{"step": 1, **row}]
    assert read_rows(tmp_path) == [{"step": 1, "gpt/loss": 1.0}]


def test_wandb_and_tensorboard_stay_unimported_when_disabled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("wandb", "tensorboard", "torch.utils.tensorboard"):
        monkeypatch.setitem(sys.modules, name, None)  # an import of it raises
    track(tmp_path, TrackingConfig(), [1])
    with pytest.raises(ValueError, match=r"needs TensorBoard; pip install 'gsv2\[tensorboard\]'"):
        track(tmp_path, TrackingConfig(tensorboard=True), [1])


def test_a_resumed_run_goes_on_under_its_wandb_id_and_may_step_back(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The real wandb, offline: two launches, the second of which steps back; it is silent."""
    track(tmp_path, OFFLINE, [1, 2, 3])
    track(tmp_path, OFFLINE, [2, 3])
    rows = read_rows(tmp_path)
    assert [row["step"] for row in rows] == [1, 2, 3, 2, 3]
    assert rows[-1] == {"step": 3, "gpt/loss": pytest.approx(0.3), "train/steps_per_sec": 2.0}
    [run_id] = set(read_values(tmp_path, "run", "run_id"))
    assert run_id == (tmp_path / "wandb_id").read_text()
    assert read_values(tmp_path, "exit", "exit_code") == [0, 0]
    steps = dict(
        zip(
            read_values(tmp_path, "metric", "glob_name"),
            read_values(tmp_path, "metric", "step_metric"),
            strict=True,
        )
    )
    assert steps["*"] == "step"
    assert capfd.readouterr() == ("", "")


def test_what_wandb_is_told_is_on_the_disk_when_the_process_is_killed(tmp_path: Path) -> None:
    """Wandb's own 15 s between writes lose rows that a checkpoint has, and nobody sends again."""
    options: dict[str, Any] = {
        "name": "run",
        "values": {},
        "done": 0,
        "progress": RunProgress(max_steps=9),
    }
    with open_trackers(OFFLINE, tmp_path, **options) as trackers:
        for tracker in trackers:
            tracker.log(1, {"gpt/loss": 0.5})
        deadline = time.monotonic() + 8
        while not (rows := rows_so_far(tmp_path)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert rows == [{"step": 1, "gpt/loss": 0.5}]


def test_wandb_learns_how_a_run_ended(tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "name": "run",
        "values": {},
        "done": 0,
        "progress": RunProgress(max_steps=9),
    }
    with pytest.raises(OSError, match="disk"), open_trackers(OFFLINE, tmp_path, **options):
        raise OSError("disk")
    with pytest.raises(Preempted), open_trackers(OFFLINE, tmp_path, **options):
        raise Preempted("told to leave")
    assert read_values(tmp_path, "exit", "exit_code") == [1, 1]
    assert len(read_values(tmp_path, "preempting", "_info")) == 1


def test_wandb_online_without_a_key_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def init(**options: Any) -> Any:
        raise wandb.errors.UsageError("api_key not configured")

    monkeypatch.setattr(wandb, "init", init)
    with pytest.raises(ValueError, match=r"tracking\.wandb=online: api_key not configured"):
        track(tmp_path, TrackingConfig(wandb="online"), [1])


def test_pictures_and_sounds_go_to_wandb_under_one_name_each(tmp_path: Path) -> None:
    imsave(tmp_path / "a.png", np.zeros((4, 6)))
    save_wave(tmp_path / "a.flac", np.zeros(640, dtype=np.float32), 32_000)
    options: dict[str, Any] = {
        "name": "run",
        "values": {},
        "done": 0,
        "progress": RunProgress(max_steps=9),
    }
    files = [
        PanelFile("a/sheet", tmp_path / "a.png"),
        PanelFile("a/recording", tmp_path / "a.flac"),
    ]
    with open_trackers(OFFLINE, tmp_path, **options) as trackers:
        for tracker in trackers:
            tracker.show(5, files)
    [row] = read_rows(tmp_path)
    assert row["step"] == 5
    assert row["samples/a/sheet/_type"] == "image-file"
    assert row["samples/a/recording/_type"] == "audio-file"


def test_without_a_terminal_losses_are_logged_as_lines(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "console", lambda: Console(force_terminal=False))
    with caplog.at_level("INFO"):
        track(tmp_path, TrackingConfig(), [3])
    assert "run 3/9  gpt 0.3  2.00 steps/s  0:00:03 left" in caplog.text


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"samples": -1}, r"tracking\.samples must be at least 0, but is -1"),
        ({"keep_samples": 0}, r"tracking\.keep_samples must be at least 1, but is 0"),
        ({"peak_tflops": 0.0}, r"tracking\.peak_tflops must be positive, but is 0\.0"),
    ],
)
def test_impossible_values_are_refused_by_name(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrackingConfig(**values)
