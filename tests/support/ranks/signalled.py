"""Scenes of signals, each in a process of its own, which tests/training/faults/test_signals.py has.

A scene ends by itself with the code that its test asks for, or with 1.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import torch
from torch.utils.data import DataLoader

from gsv2.training.distributed.agreement import interruptible
from gsv2.training.faults.signals import StopSignals

UNTOLD = 7
"""Exit code of a process that a signal should have ended before."""


def second_signal_a_minute_later() -> None:
    """Be told twice, 61 s apart."""
    with StopSignals() as signals, signals.deferred():
        os.kill(os.getpid(), signal.SIGTERM)
        signals._requested_at -= 61
        os.kill(os.getpid(), signal.SIGTERM)
        os._exit(UNTOLD)


def forked_worker(number: int, code: int) -> None:
    """Fork a worker that signals itself, and check how it ends."""
    with StopSignals() as signals, signals.deferred():
        child = os.fork()
        if not child:
            os.kill(os.getpid(), number)
            os._exit(UNTOLD)
        found = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert (found, signals.stop_requested) == (code, None)


def workers_of_a_loader() -> None:
    """Be told with all loader workers, as a rank of torchrun is."""
    loader = DataLoader(torch.arange(100_000), batch_size=None, num_workers=1)
    with StopSignals() as signals, signals.deferred():
        batches = iter(loader)
        next(batches)
        sender = [sys.executable, "-c", f"import os; os.killpg({os.getpid()}, 15)"]
        subprocess.run(sender, check=True, start_new_session=True)
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline:
            time.sleep(0.01)  # a place where SIGCHLD's handler would raise
        if interruptible(signals, lambda: list(batches)) is None:
            os._exit(0)
    os._exit(UNTOLD)


def main(scene: str, *numbers: str) -> None:
    """Play a scene."""
    scenes = (second_signal_a_minute_later, forked_worker, workers_of_a_loader)
    {of.__name__: of for of in scenes}[scene](*map(int, numbers))
