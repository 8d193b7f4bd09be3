from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from gsv2.training import tracking
from gsv2.training.records import read_records
from gsv2.training.tracking import TrackingConfig, counting_bar, open_trackers


class FakeRun:
    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options
        self.rows: list[dict[str, Any]] = []
        self.metrics: dict[str, Any] = {}
        self.is_finished = False

    def define_metric(self, name: str, step_metric: str | None = None) -> None:
        self.metrics[name] = step_metric

    def log(self, row: dict[str, Any]) -> None:
        self.rows.append(row)

    def finish(self) -> None:
        self.is_finished = True


@pytest.fixture
def wandb_runs(monkeypatch: pytest.MonkeyPatch) -> list[FakeRun]:
    runs: list[FakeRun] = []

    def init(**options: Any) -> FakeRun:
        runs.append(FakeRun(options))
        return runs[-1]

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init))
    return runs


def track(folder: Path, config: TrackingConfig, steps: list[int]) -> None:
    options = {"name": "run", "values": {"seed": 0}, "done": 0, "max_steps": 9}
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


def test_what_is_no_number_is_in_the_metrics_file_alone(
    tmp_path: Path, wandb_runs: list[FakeRun]
) -> None:
    row = {"gpt/loss": 1.0, "data/ledger": [{"lane": 0, "digest": "00ff"}]}
    options = {"name": "run", "values": {}, "done": 0, "max_steps": 9}
    with open_trackers(TrackingConfig(wandb="offline"), tmp_path, **options) as trackers:
        for tracker in trackers:
            tracker.log(1, row)
    assert read_records(tmp_path / "metrics.jsonl") == [{"step": 1, **row}]
    assert wandb_runs[0].rows == [{"step": 1, "gpt/loss": 1.0}]


def test_wandb_stays_unimported_when_disabled(tmp_path: Path, wandb_runs: list[FakeRun]) -> None:
    track(tmp_path, TrackingConfig(), [1])
    assert wandb_runs == []


def test_a_resumed_run_goes_on_under_its_wandb_id_and_may_step_back(
    tmp_path: Path, wandb_runs: list[FakeRun]
) -> None:
    config = TrackingConfig(wandb="offline", project="p")
    track(tmp_path, config, [1, 2])
    track(tmp_path, config, [2])
    first, second = wandb_runs
    assert first.options["id"] == second.options["id"]
    assert first.options["resume"] == "allow"
    assert first.options["mode"] == "offline"
    assert first.metrics["*"] == "step"
    assert second.rows == [{"step": 2, "gpt/loss": 0.2, "train/steps_per_sec": 2.0}]
    assert first.is_finished


def test_without_a_terminal_losses_are_logged_as_lines(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "console", lambda: Console(force_terminal=False))
    with caplog.at_level("INFO"):
        track(tmp_path, TrackingConfig(), [3])
    assert "run 3/9  gpt 0.3  2.00 steps/s" in caplog.text


def test_on_a_terminal_the_bar_shows_step_and_losses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    screen = Console(force_terminal=True, width=120, stderr=True)
    monkeypatch.setattr(tracking, "console", lambda: screen)
    track(tmp_path, TrackingConfig(), [4])
    shown = capsys.readouterr().err
    assert "4/9" in shown
    assert "gpt 0.4" in shown


def test_a_counting_bar_is_silent_without_a_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    with counting_bar("encoding") as progress:
        progress(1, 2)
        progress(2, 2)
    assert capfd.readouterr() == ("", "")
