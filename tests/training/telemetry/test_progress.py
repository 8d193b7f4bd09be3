from __future__ import annotations

import logging
import re
import subprocess
import sys
import time

import pytest
from rich.console import Console

from gsv2.training.schedule import RunProgress
from gsv2.training.telemetry import progress
from gsv2.training.telemetry.progress import (
    CountingLines,
    LogLines,
    ProgressBar,
    counting_bar,
    losses_line,
    time_left,
)


def test_on_a_terminal_the_bar_shows_step_losses_and_time_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    screen = Console(force_terminal=True, width=120, stderr=True)
    monkeypatch.setattr(progress, "console", lambda: screen)
    bar = ProgressBar("run", done=3, progress=RunProgress(max_steps=9))
    for step in (4, 5, 6):
        bar.advance(step)
        bar.log(step, {"gpt/loss": 0.1 * step})
    bar.close()
    shown = capsys.readouterr().err
    assert "6/9" in shown
    assert "gpt 0.6" in shown
    assert "0:00:00" in shown  # elapsed, and left at this speed


def test_the_steps_of_earlier_launches_took_no_part_in_the_time_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Resumed at step 900 of 1000, 0.1 s a step: 10 s are left, not 10 s / 300."""
    screen = Console(force_terminal=True, width=120, stderr=True)
    monkeypatch.setattr(progress, "console", lambda: screen)
    bar = ProgressBar("run", done=900, progress=RunProgress(max_steps=1000))
    for step in range(901, 905):
        time.sleep(0.1)
        bar.advance(step)
    bar.close()
    *_, left = re.findall(r"(\d+):(\d\d):(\d\d)", capsys.readouterr().err)
    assert 60 * int(left[1]) + int(left[2]) >= 9


def test_a_line_has_no_time_left_before_there_is_a_speed(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        LogLines("run", RunProgress(max_steps=9)).log(3, {"gpt/loss": 0.25})
    assert caplog.messages == ["run 3/9  gpt 0.25  0.00 steps/s"]


def test_time_left_is_steps_over_speed() -> None:
    assert time_left(90_000, 0.5) == "2 days, 2:00:00"


def test_losses_of_validation_and_those_that_are_not_finite_are_not_shown() -> None:
    row = {"gpt/loss": 2.5, "generator/loss": None, "validation/gpt/loss": 3.0, "gpt/lr": 1.0}
    assert losses_line(row) == "gpt 2.5"


def test_lines_that_count_say_how_long_it_will_take(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = iter([0.0, 1.0, 11.0, 21.0])
    monkeypatch.setattr("gsv2.training.telemetry.progress.time.monotonic", lambda: next(clock))
    lines = CountingLines("clips")
    with caplog.at_level(logging.INFO, logger="gsv2.training.telemetry.progress"):
        lines(100, 1000)  # what an ended call has done says nothing of the speed
        lines(200, 1000)
        lines(300, None)
    told = [record.message for record in caplog.records]
    assert told == ["clips: 200 of 1000, 0:01:20 left", "clips: 300"]


def test_a_counting_bar_is_silent_without_a_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    with counting_bar("encoding") as progress:
        progress(1, 2)
        progress(2, 2)
    assert capfd.readouterr() == ("", "")


def test_a_console_needs_neither_torch_nor_matplotlib() -> None:
    """Every command of `gsv2` has one."""
    code = (
        "import sys, gsv2.training.telemetry.progress; "
        "assert not {'torch', 'matplotlib', 'wandb'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
