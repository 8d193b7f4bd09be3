"""Ranks as processes of their own, without the seconds of an import and of a launcher.

One process (`python -m tests.support.forked_runs FILE`) imports everything once, for all workers of
a test session, and forks a child for every rank: of the toy that meets faults, or of a module in
`tests.support.ranks`. Orders and answers are JSON lines over a socket; its port is in the file. It
ends with the last worker that is connected, and a worker's children end with its connection.
"""

from __future__ import annotations

import fcntl
import gc
import importlib
import json
import os
import selectors
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NoReturn, Self

from tests.support.processes import ROOT, WARNINGS, environment, free_port

STILL_RUNNING = 1000
IMPORTED_LATE = (
    "matplotlib.backends.backend_agg", "numba", "torch._dynamo", "torch.utils.flop_counter",
    "transformers.models.qwen2.modeling_qwen2", "vector_quantize_pytorch",
)  # fmt: skip
"""What gsv2 or torch import where they need it: here once, before the forks."""
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
                command = [sys.executable, *WARNINGS, *("-W", DDP_OF_TINY), "-m", __name__]
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


@dataclass
class _Worker:
    """A worker that is connected, and what it has started."""

    orders: IO[str]
    codes: dict[int, int] = field(default_factory=dict)
    """Process -> exit code, of those that have ended."""
    started: set[int] = field(default_factory=set)

    def leave(self) -> None:
        """End what still runs."""
        for pid in self.started - self.codes.keys():
            with suppress(ProcessLookupError):
                os.kill(pid, 9)
        self.orders.close()

    def poll(self, pid: int) -> int:
        """Return the exit code of a process, or `STILL_RUNNING`."""
        if pid not in self.codes:
            done, status = os.waitpid(pid, os.WNOHANG)
            if not done:
                return STILL_RUNNING
            self.codes[pid] = os.waitstatus_to_exitcode(status)
        return self.codes[pid]


class _Server:
    """Forks what the workers ask for."""

    def __init__(self, port_file: Path) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets = selectors.DefaultSelector()
        self._sockets.register(self._listener, selectors.EVENT_READ)
        aside = port_file.with_suffix(".new")
        aside.write_text(str(self._listener.getsockname()[1]))
        aside.rename(port_file)

    def serve(self) -> None:
        """Answer until the last worker has left."""
        while True:
            for key, _ in self._sockets.select():
                if key.fileobj is self._listener:
                    connection, _ = self._listener.accept()
                    worker = _Worker(connection.makefile("rw"))
                    self._sockets.register(connection, selectors.EVENT_READ, worker)
                elif line := key.data.orders.readline():
                    answer = self._answer(key.data, json.loads(line))
                    key.data.orders.write(f"{answer}\n")
                    key.data.orders.flush()
                else:
                    self._sockets.unregister(key.fileobj).data.leave()
                    key.fileobj.close()
                    if len(self._sockets.get_map()) == 1:
                        return

    def _answer(self, worker: _Worker, order: Mapping[str, Any]) -> int:
        if "hello" in order:
            return 0
        if "poll" in order:
            return worker.poll(order["poll"])
        run = _main_of(order["module"]) if "module" in order else faulty_run.run
        child = os.fork()
        if not child:
            self._close()
            _run_child(order, run)
        worker.started.add(child)
        return child

    def _close(self) -> None:
        """Close the sockets, which a child has too."""
        for key in list(self._sockets.get_map().values()):
            if key.data is not None:
                key.data.orders.close()
            key.fileobj.close()
        self._sockets.close()


def _run_child(order: Mapping[str, Any], run: Callable[[Mapping[str, Any]], int]) -> NoReturn:
    from gsv2.training.distributed.ranks import leave

    if order.get("ends_as_programs_do"):
        _become(order)
        leave(run(order))
    try:
        _become(order)
        code = run(order)
        sys.stderr.flush()
        os._exit(code)  # the interpreter's own end takes longer than a run
    finally:
        traceback.print_exc()  # of what got past `run`
        os._exit(1)


def _main_of(module: str) -> Callable[[Mapping[str, Any]], int]:
    """Import a module of ranks, and what it names as `BEFORE_FORKS`; return what runs an order.

    Tests import such a module too, for its names, and need not wait for what its ranks need.
    """
    ranks = importlib.import_module(f"tests.support.ranks.{module}")
    for name in getattr(ranks, "BEFORE_FORKS", ()):
        importlib.import_module(name)
    main = ranks.main
    gc.freeze()  # each ZeRO-3 engine collects garbage: seconds over all that is imported

    def run(order: Mapping[str, Any]) -> int:
        main(*order["words"])
        return 0

    return run


def _become(order: Mapping[str, Any]) -> None:
    """Turn this fork into the process that a launcher would have started."""
    os.setsid()
    errors = os.open(order["errors"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    nothing = os.open(os.devnull, os.O_RDWR)
    for number, target in enumerate((nothing, nothing, errors)):
        os.dup2(target, number)
    if "world" in order:
        rank, world = str(order["rank"]), str(order["world"])
        os.environ.update(
            RANK=rank,
            LOCAL_RANK=rank,
            WORLD_SIZE=world,
            LOCAL_WORLD_SIZE=world,
            MASTER_ADDR="127.0.0.1",
            MASTER_PORT=str(order["port"]),
            ACCELERATE_USE_CPU="true",
        )
    os.environ.update(order.get("environ", {}))


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


if __name__ == "__main__":
    for late in IMPORTED_LATE:
        importlib.import_module(late)
    from tests.support import faulty_run

    gc.freeze()
    _Server(Path(sys.argv[1])).serve()
    os._exit(0)  # the interpreter's own end takes seconds
