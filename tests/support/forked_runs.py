"""Ranks as processes of their own, without the seconds of an import and of a launcher.

One process (`tests.support.rank_server`) forks a child for every rank, for all workers of a test
session: of the toy that meets faults, or of a module in `tests.support.ranks`.
"""

from __future__ import annotations

import fcntl
import json
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.support.processes import ROOT, WARNINGS, environment, free_port
from tests.support.rank_server import STILL_RUNNING

SERVER = "tests.support.rank_server"
DEEPSPEED = ("deepspeed", "deepspeed.runtime.zero.muon.muon_optimizer")
"""For `BEFORE_FORKS`: a first engine imports the second, and with it torch's compiler: seconds."""
DDP_OF_TINY = "once:Grad strides do not match bucket view strides:UserWarning"
"""What DDP says of a parameter with dimensions of size 1, whose strides mean nothing."""


@dataclass(frozen=True)
class Child:
    """One rank of a run."""

    pid: int
    errors_file: Path
    forked_runs: ForkedRuns

    @property
    def errors(self) -> str:
        """What it has written to stderr."""
        return self.errors_file.read_text()

    def poll(self) -> int:
        """Return its exit code, or `STILL_RUNNING`."""
        return self.forked_runs.ask({"poll": self.pid})

    def wait(self, timeout_sec: float = 60.0) -> int:
        """Return its exit code; that of a signal is negative."""
        deadline = time.monotonic() + timeout_sec
        while (code := self.poll()) == STILL_RUNNING:
            assert time.monotonic() < deadline, f"runs for {timeout_sec} s: {self.errors}"
            time.sleep(0.02)
        return code


class ForkedRuns:
    """Starts runs; a context manager that leaves none behind.

    Args:
        folder: one that all workers of the session see.
    """

    def __init__(self, folder: Path) -> None:
        self._port_file = folder / "forked_runs.port"
        self._server: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self._port_file.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not self._connect():
                self._port_file.unlink(missing_ok=True)
                command = [sys.executable, *WARNINGS, *("-W", DDP_OF_TINY), "-m", SERVER]
                variables = {**environment(), "DS_ACCELERATOR": "cpu"}
                self._server = subprocess.Popen(
                    [*command, str(self._port_file)], cwd=ROOT, env=variables
                )
                while not self._connect():
                    assert self._server.poll() is None, "the process that forks has ended"
                    time.sleep(0.02)
        return self

    def __exit__(self, *_: object) -> None:
        self._orders.close()
        self._socket.close()  # with it, all that it has started
        if self._server is not None:
            self._server.wait()  # for the other workers too: it is this one's child

    def _connect(self) -> bool:
        """Connect to the process that forks, if there is one."""
        if not self._port_file.exists():
            return False
        try:
            self._socket = socket.create_connection(("127.0.0.1", int(self._port_file.read_text())))
            self._orders = self._socket.makefile("rw")
            return self.ask({"hello": True}) == 0
        except (OSError, ValueError):  # it has ended, or is about to
            return False

    def start(self, folder: Path, *, world: int = 1, **spec: Any) -> list[Child]:
        """Start the ranks of a run in `folder` (see `tests.support.faulty_run.run`).

        With `ends_as_programs_do=True`, a rank leaves as `gsv2.train` does: the interpreter waits
        for threads and tidies up.
        """
        return self._start(folder, world, {"folder": str(folder), **spec})

    def start_ranks(
        self, folder: Path, module: str, *arguments: str | Path, world: int = 2, **environ: str
    ) -> list[Child]:
        """Start `main(*arguments)` of a module of `tests.support.ranks` on every rank.

        Args:
            folder: for what the ranks write to stderr.
            module: its name within `tests.support.ranks`.
            arguments: paths or words.
            world: number of ranks.
            environ: what a launcher would set beside the ranks.
        """
        words = [str(argument) for argument in arguments]
        return self._start(folder, world, {"module": module, "words": words, "environ": environ})

    def _start(self, folder: Path, world: int, spec: Mapping[str, Any]) -> list[Child]:
        folder.mkdir(parents=True, exist_ok=True)
        port = free_port()
        children = []
        for rank in range(world):
            ranks = {"rank": rank, "world": world, "port": port} if world > 1 else {}
            errors = folder / f"stderr-{rank}.txt"
            order = {"errors": str(errors), **ranks, **spec}
            children.append(Child(self.ask(order), errors, self))
        return children

    def run(self, folder: Path, **spec: Any) -> list[int]:
        """Start a run and return the exit codes of its ranks."""
        return [child.wait() for child in self.start(folder, **spec)]

    def ask(self, order: Mapping[str, Any]) -> int:
        """Send an order and return the answer."""
        self._orders.write(json.dumps(order) + "\n")
        self._orders.flush()
        return int(self._orders.readline())


def finish(children: Sequence[Child], timeout_sec: float = 250.0) -> None:
    """Wait for the success of ranks that wait for one another: the first failure ends all."""
    running = list(children)
    deadline = time.monotonic() + timeout_sec
    while running:
        for child in tuple(running):
            code = child.poll()
            if code != STILL_RUNNING:
                assert code == 0, f"exit code {code}: {child.errors}"
                running.remove(child)
        assert time.monotonic() < deadline, [child.errors for child in running]
        time.sleep(0.02)


def codes_of(children: Sequence[Child]) -> list[int]:
    """Return the exit codes of all ranks."""
    return [child.wait() for child in children]
