from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gsv2 import train
from gsv2.cli import app
from gsv2.train import EXIT_REQUEUE
from gsv2.training.distributed.agreement import interruptible
from gsv2.training.faults.signals import STOP_SIGNALS, Preempted, StopSignals
from tests.support.forked_runs import ForkedRuns
from tests.support.processes import ROOT


def tell(number: int = signal.SIGTERM) -> None:
    os.kill(os.getpid(), number)


@pytest.fixture
def exit_code_of(tmp_path: Path, forked_runs: ForkedRuns) -> Callable[..., int]:
    """`exit_code_of(scene, *numbers)`: that of a scene of `tests.support.ranks.signalled`."""

    def play(*words: object) -> int:
        arguments = map(str, words)
        (child,) = forked_runs.start_ranks(tmp_path, "signalled", *arguments, world=1)
        return child.wait()

    return play


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_a_signal_before_the_first_step_leaves_at_once_with_85(number: int) -> None:
    with pytest.raises(Preempted) as stop, StopSignals() as signals:
        tell(number)
    assert (stop.value.code, EXIT_REQUEUE) == (85, 85)
    assert signals.stop_requested == signal.Signals(number).name


def test_a_signal_during_work_is_noted_and_handlers_are_given_back() -> None:
    before = [signal.getsignal(n) for n in (*STOP_SIGNALS, signal.SIGCHLD)]
    with StopSignals() as signals, signals.deferred():
        assert signals.stop_requested is None
        tell(signal.SIGUSR1)
        assert signals.stop_requested == "SIGUSR1"
    assert [signal.getsignal(n) for n in (*STOP_SIGNALS, signal.SIGCHLD)] == before


def test_what_may_be_broken_off_is_and_nothing_begins_afterwards() -> None:
    with StopSignals() as signals, signals.deferred():
        assert interruptible(signals, lambda: 3) == 3
        threading.Timer(0.1, tell).start()
        start = time.monotonic()
        assert interruptible(signals, lambda: time.sleep(20)) is None
        assert time.monotonic() - start < 10
        assert interruptible(signals, lambda: pytest.fail("began")) is None


def test_an_error_is_raised_unless_it_came_with_the_signal() -> None:
    def fail(is_stopped: bool) -> None:
        if is_stopped:
            signals.stop_requested = "SIGTERM"
        raise OSError("workers are gone")

    with StopSignals() as signals, signals.deferred():
        with pytest.raises(OSError, match="gone"):
            interruptible(signals, lambda: fail(is_stopped=False))
        assert interruptible(signals, lambda: fail(is_stopped=True)) is None


def test_a_signal_that_is_delivered_twice_at_once_counts_once() -> None:
    with StopSignals() as signals, signals.deferred():
        tell()
        tell()
        assert signals.stop_requested == "SIGTERM"


@pytest.mark.parametrize("numbers", [(signal.SIGTERM, signal.SIGTERM), (10, signal.SIGTERM)])
def test_another_signal_within_a_minute_changes_nothing(numbers: tuple[int, int]) -> None:
    """USR1 of the time limit, then TERM of a preemption: the checkpoint is under way."""
    with StopSignals() as signals, signals.deferred():
        tell(numbers[0])
        signals._requested_at -= 50
        tell(numbers[1])
        assert signals.stop_requested == signal.Signals(numbers[0]).name


def test_a_signal_after_that_minute_leaves_at_once(exit_code_of: Callable[..., int]) -> None:
    assert exit_code_of("second_signal_a_minute_later") == EXIT_REQUEUE


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, -signal.SIGTERM), (10, 7)])
def test_a_forked_worker_dies_of_sigterm_and_ignores_sigusr1(
    exit_code_of: Callable[..., int], number: int, code: int
) -> None:
    assert exit_code_of("forked_worker", int(number), int(code)) == 0


@pytest.mark.parametrize("program", [["gsv2.train"], ["gsv2", "train"]])
@pytest.mark.parametrize(
    ("number", "delay_sec"),
    [(signal.SIGTERM, 0.0), (signal.SIGUSR1, 0.1), (signal.SIGTERM, 0.5), (signal.SIGUSR1, 1.0)],
)
def test_a_signal_while_programs_are_being_imported_leaves_with_85(
    program: list[str], number: int, delay_sec: float, tmp_path: Path
) -> None:
    """From when Python runs the first lines, before it has imported anything of weight."""
    config = tmp_path / "slow.yaml"
    os.mkfifo(config)  # whose end does not come: what is read there waits
    process = subprocess.Popen([sys.executable, "-m", *program, str(config)], cwd=ROOT)
    try:
        while not is_caught(process.pid, number):
            assert process.poll() is None
        time.sleep(delay_sec)
        process.send_signal(number)
        assert process.wait(timeout=60) == EXIT_REQUEUE
    finally:
        process.kill()


def is_caught(pid: int, number: int) -> bool:
    """Tell whether a process has a handler for a signal."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    mask = next(int(line.split()[1], 16) for line in lines if line.startswith("SigCgt"))
    return bool(mask >> (number - 1) & 1)


def test_gsv2_train_leaves_with_85_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def main(*_: object) -> None:
        raise Preempted("told to leave; the same command goes on from step 7")

    monkeypatch.setattr(train, "main", main)
    assert CliRunner().invoke(app, ["train", "any.yaml"]).exit_code == EXIT_REQUEUE


def test_ctrl_c_stays_pythons_own() -> None:
    with pytest.raises(KeyboardInterrupt), StopSignals():
        tell(signal.SIGINT)


def test_outside_of_the_main_thread_nobody_is_told() -> None:
    found: list[str | None] = []

    def run() -> None:
        with StopSignals() as signals:
            found.append(signals.stop_requested)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [None]


def test_workers_killed_by_the_same_signal_raise_nothing_anywhere(
    exit_code_of: Callable[..., int],
) -> None:
    """A rank of torchrun is signalled with its workers, whose death torch raises anywhere."""
    assert exit_code_of("workers_of_a_loader") == 0
