"""What README and docs show works: every command and every Python block that needs no cluster."""

from __future__ import annotations

import os
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gsv2.cli import app
from tests.support.processes import environment
from tests.support.shown_commands import NOT_RUN, ROOT, shown_commands, shown_python

COMMANDS = [command for command in shown_commands() if command.reason is None]
FEW_STEPS = "trainer.max_steps=2"
LITTLE_HEARD = "model.validation_sentences=1 tracking.samples=0"
"""For variants of a training that another command shows as it is."""


HEAVY = (
    "gsv2 train",
    "gsv2 corpus demo",
    "gsv2 export runs/quickstart/bundle",
    "gsv2 synthesize --bundle runs/quickstart/bundle_with_graphs",
    "python examples/custom_stage.py",
    "bash launch",
)
"""What takes minutes as it is written; `tiny_quickstart` does most of it at its own size."""
BRIEF = ("gsv2 train configs/gpt/debug.yaml", "python examples/custom_stage.py")
"""What of it takes seconds with few steps."""


def run(text: str) -> None:
    """Run a command in this process, or in processes of its own if it needs them."""
    program, *arguments = shlex.split(text)
    match program:
        case "gsv2":
            result = CliRunner().invoke(app, arguments)
            assert result.exit_code == 0, result.output
        case "python":
            _run_script(arguments)
        case _:
            paths = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
            variables = {**environment(), "PATH": paths, "PYTHONPATH": str(ROOT)}
            done = subprocess.run(
                [program, *arguments], env=variables, text=True, capture_output=True
            )
            assert done.returncode == 0, done.stderr


def _run_script(arguments: list[str]) -> None:
    before = sys.argv
    sys.argv = arguments
    try:
        runpy.run_path(arguments[0], run_name="__main__")
    finally:
        sys.argv = before


@pytest.mark.long
@pytest.mark.parametrize("command", [c for c in COMMANDS if not c.text.startswith(HEAVY)], ids=str)
def test_a_shown_command_works_as_written(command, workspace, monkeypatch):
    monkeypatch.chdir(workspace)
    run(command.text)


@pytest.mark.long
@pytest.mark.parametrize("command", [c for c in COMMANDS if c.text.startswith(BRIEF)], ids=str)
def test_a_shown_training_starts_and_ends(command, workspace, monkeypatch, tmp_path):
    monkeypatch.chdir(workspace)
    brief = f"{FEW_STEPS} {LITTLE_HEARD}" if "run.name=" in command.text else FEW_STEPS
    run(f"{command.text} {brief} run.dir={tmp_path}")


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("command", [c for c in COMMANDS if c.text.startswith(HEAVY)], ids=str)
def test_a_shown_command_of_minutes_works_as_written(command, workspace, monkeypatch):
    monkeypatch.chdir(workspace)
    run(command.text)


@pytest.mark.long
@pytest.mark.parametrize("block", shown_python(), ids=str)
def test_a_shown_python_block_works_as_written(block, workspace, monkeypatch, tmp_path):
    monkeypatch.chdir(workspace)
    (tmp_path / "block.py").write_text(block.text)
    runpy.run_path(str(tmp_path / "block.py"), run_name="__main__")


@pytest.mark.long
def test_the_example_speaks_and_writes_a_file(workspace, monkeypatch):
    monkeypatch.chdir(workspace)
    bundle, voice = "runs/quickstart/bundle", "VOICE.wav"
    run(f"python examples/speak.py {bundle} {voice} 'This is sentence 0.' 'One more.' spoken.wav")
    assert (workspace / "spoken.wav").stat().st_size > 1000


def test_every_command_that_is_not_run_is_shown_and_has_a_reason():
    reasons = {command.reason for command in shown_commands()} - {None}
    assert reasons == set(NOT_RUN.values())
    assert len(COMMANDS) > 15
