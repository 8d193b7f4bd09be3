"""Chains side by side: two processes, each with half of the cores, that end together.

On a CPU, two processes of half the threads do about 1.3 times the work of one process after the
other on all of them: waiting at the ends of parallel loops is what more threads do most.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from gsv2.fit.chain import ChainCall
from gsv2.openmp import child_environment

logger = logging.getLogger(__name__)

_POLL_SEC = 0.3
_LEAVE_SEC = 90.0
"""What a process gets to save and leave."""
_LAST_LINES = 3


class ChainError(ValueError):
    """A process ended with an error."""


@dataclass
class _Process:
    """A process, and how far its log was shown."""

    name: str
    log: Path
    process: subprocess.Popen[bytes]
    shown_bytes: int = 0
    lines: list[str] = field(default_factory=list)

    def show_new_lines(self) -> None:
        """Show what is new in the log, whole lines only."""
        with self.log.open("rb") as file:
            file.seek(self.shown_bytes)
            new = file.read()
        whole = new[: new.rfind(b"\n") + 1]
        self.shown_bytes += len(whole)
        for line in whole.decode("utf-8", "replace").splitlines():
            if line.strip():
                self.lines = [*self.lines, line.strip()][-_LAST_LINES:]
                logger.info("%s: %s", self.name, line.strip())


def run_side_by_side(calls: Sequence[ChainCall], logs: Path, threads: int) -> None:
    """Run chains until all are done; an error or a signal ends them all.

    Args:
        calls: what each chain is told.
        logs: folder of their logs, which are shown here line by line too.
        threads: threads of each.

    Raises:
        ChainError: a process failed; the message has its last lines and its log.
    """
    logs.mkdir(parents=True, exist_ok=True)
    processes: list[_Process] = []
    try:
        for call in calls:
            processes.append(_start(call, logs / f"{call.chain}.log", threads))
        _watch(processes)
    finally:
        _end(processes)


def _start(call: ChainCall, log: Path, threads: int) -> _Process:
    command = [sys.executable, "-m", "gsv2.fit.chain", call.to_json()]
    shown = log.stat().st_size if log.exists() else 0
    file: IO[bytes]
    with log.open("ab") as file:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT,
            env=child_environment(os.environ, threads),
        )  # fmt: skip
    return _Process(call.chain, log, process, shown)


def _watch(processes: Sequence[_Process]) -> None:
    running = list(processes)
    while running:
        time.sleep(_POLL_SEC)
        for one in list(running):
            code = one.process.poll()
            one.show_new_lines()
            if code is None:
                continue
            running.remove(one)
            if code != 0:
                last = " | ".join(one.lines)
                raise ChainError(f"{one.name} ended with code {code}: {last} (log: {one.log})")


def _end(processes: Sequence[_Process]) -> None:
    """Let what still runs save and leave."""
    for one in processes:
        if one.process.poll() is None:
            one.process.terminate()
    for one in processes:
        try:
            one.process.wait(_LEAVE_SEC)
        except subprocess.TimeoutExpired:
            one.process.kill()
            one.process.wait()
        one.show_new_lines()
