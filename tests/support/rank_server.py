"""Process that imports everything once, and forks a child for every rank that is asked for.

`python -m tests.support.rank_server FILE`: orders and answers are JSON lines over a socket, whose
port is in the file. It ends with the last worker that is connected, and a worker's children end
with its connection.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import selectors
import socket
import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NoReturn

STILL_RUNNING = 1000
IMPORTED_LATE = (
    "matplotlib.backends.backend_agg", "numba", "torch._dynamo", "torch.utils.flop_counter",
    "transformers.models.qwen2.modeling_qwen2", "vector_quantize_pytorch",
)  # fmt: skip
"""What gsv2 or torch import where they need it: here once, before the forks."""


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


if __name__ == "__main__":
    for late in IMPORTED_LATE:
        importlib.import_module(late)
    from tests.support import faulty_run

    gc.freeze()
    _Server(Path(sys.argv[1])).serve()
    os._exit(0)  # the interpreter's own end takes seconds
