"""Start the ranks of one node, and end as they end.

    python launch/node.py [--nodes N --node-rank R --main HOST:PORT] [--ranks P] -- COMMAND ...

runs `python COMMAND` once a rank; every node of a run runs the same line. What is not given comes
from the environment: of a Kubeflow TrainJob (PET_*), or of a task that srun started (SLURM_*);
else there is one node. Ranks: the GPUs that this node sees, or one.

Why not torchrun or `accelerate launch`: they turn every exit code of a rank into 1, so that no
scheduler learns of "requeue me" (85), and kill ranks that still write a checkpoint 30 s after a
signal. Both start gsv2 all the same, where nothing waits for the code.

Exit code: 0 if that of every rank is; 85 if some end with it and none with another; else that of
the rank that failed first (128 + N for signal N). A rank that dies of the SIGTERM or SIGUSR1 that
it was passed on, because it was not ready for it yet, had nothing to save: that is 85 too.
"""

from __future__ import annotations

import os
import signal

if __name__ == "__main__":  # a signal that comes while the rest is imported: nothing runs yet
    for _number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(_number, lambda number, frame: os._exit(85))

import argparse
import ctypes
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import FrameType

EXIT_REQUEUE = 85
STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
_PET_PORT = "29500"
_POLL_SEC = 0.1
_KILL_SEC = 10.0
"""Between the SIGTERM at which a rank that hangs writes where it stands, and SIGKILL."""
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, kw_only=True)
class Place:
    """This node among the nodes of a run."""

    nodes: int
    node_rank: int
    ranks: int
    """Ranks of each node."""
    main: str
    """HOST:PORT that rank 0 listens at."""

    def __post_init__(self) -> None:
        """Check that the figures fit together."""
        if self.ranks < 1 or not 0 <= self.node_rank < self.nodes:
            raise ValueError(
                f"node {self.node_rank} of {self.nodes} with {self.ranks} ranks cannot be; nodes "
                "are numbered from 0 and have at least one rank"
            )
        host, _, port = self.main.rpartition(":")
        if not host or not port.isdecimal():
            raise ValueError(f"main must be HOST:PORT, but is {self.main!r}")

    def environment(self, local_rank: int, base: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of one rank, as torch.distributed reads it."""
        host, _, port = self.main.rpartition(":")
        threads = {} if self.ranks == 1 else {"OMP_NUM_THREADS": "1"}  # else each takes all cores
        return threads | {
            **base,
            "RANK": str(self.node_rank * self.ranks + local_rank),
            "LOCAL_RANK": str(local_rank),
            "WORLD_SIZE": str(self.nodes * self.ranks),
            "LOCAL_WORLD_SIZE": str(self.ranks),
            "MASTER_ADDR": host,
            "MASTER_PORT": port,
        }


class Ranks:
    """The processes of one node; takes the signals of this one, from the beginning on."""

    def __init__(self, *, grace_sec: float) -> None:
        self._grace_sec = grace_sec
        self._received: set[int] = set()
        self._failed_first: int | None = None
        self._deadline: float | None = None
        self._is_terminated = False
        self._processes: list[subprocess.Popen[bytes]] = []
        for number in FORWARDED:
            signal.signal(number, self._forward)

    def start(self, place: Place, command: Sequence[str]) -> None:
        """Start them, unless a signal has come before."""
        for local_rank in range(place.ranks):
            if self._received:
                break
            self._processes.append(
                subprocess.Popen(
                    [sys.executable, *command],
                    env=place.environment(local_rank, os.environ),
                    start_new_session=True,  # Ctrl-C comes from us alone
                    preexec_fn=partial(_die_with, os.getpid()),
                )
            )
        for number in tuple(self._received):  # one of them may just have been on its way
            self._forward(number, None)

    def wait(self) -> int:
        """Wait for all ranks, and return what this process should exit with.

        When one fails, the others get `grace_sec` to end by themselves, then SIGTERM, and SIGKILL.
        """
        while any(process.poll() is None for process in self._processes):
            self._watch()
            time.sleep(_POLL_SEC)
        self._watch()
        if not self._processes:
            is_stopped = self._received.intersection(STOP_SIGNALS)
            return EXIT_REQUEUE if is_stopped else 128 + min(self._received)
        codes = {self._code(process) for process in self._processes} - {0}
        if codes <= {EXIT_REQUEUE}:
            return max(codes, default=0)
        first = self._failed_first or 1
        return first if first > 0 else 128 - first

    def _code(self, process: subprocess.Popen[bytes]) -> int | None:
        """Return how a rank ended: after a signal to leave, by that one is as good as by 85.

        So is the end that we make of a rank that waits for one which has left already.
        """
        code = process.poll()
        stopped_by = self._received.intersection(STOP_SIGNALS)
        if stopped_by and self._is_terminated:
            stopped_by |= {signal.SIGTERM, signal.SIGKILL}
        return EXIT_REQUEUE if code is not None and -code in stopped_by else code

    def _watch(self) -> None:
        for process in self._processes:
            code = self._code(process)
            if code not in (None, 0) and self._deadline is None:
                self._deadline = time.monotonic() + self._grace_sec
            if code not in (None, 0, EXIT_REQUEUE) and self._failed_first is None:
                self._failed_first = code
        if self._deadline is not None and time.monotonic() > self._deadline:
            number = signal.SIGKILL if self._is_terminated else signal.SIGTERM
            for process in self._processes:
                process.send_signal(number)
            self._deadline = time.monotonic() + _KILL_SEC
            self._is_terminated = True

    def _forward(self, number: int, frame: FrameType | None) -> None:
        self._received.add(number)
        for process in self._processes:
            process.send_signal(number)


def find_place(options: argparse.Namespace, env: Mapping[str, str]) -> Place:
    """Return where this node is, from options before the environment.

    Raises:
        ValueError: several nodes without the address of the first, or figures that cannot be.
    """
    nodes = options.nodes or int(env.get("PET_NNODES") or env.get("SLURM_STEP_NUM_NODES") or 1)
    node_rank = options.node_rank
    if node_rank is None and nodes > 1:
        node_rank = int(env.get("PET_NODE_RANK") or env.get("SLURM_NODEID") or 0)
    main = options.main
    if main is None and "PET_MASTER_ADDR" in env:
        main = f"{env['PET_MASTER_ADDR']}:{env.get('PET_MASTER_PORT', _PET_PORT)}"
    if main is None and nodes > 1:
        raise ValueError(f"{nodes} nodes need --main HOST:PORT, of the first of them")
    main = main or f"127.0.0.1:{_free_port()}"
    ranks = options.ranks or env.get("PET_NPROC_PER_NODE", "auto")
    if not str(ranks).isdecimal():  # auto, gpu, cpu
        ranks = _count_gpus() or 1
    return Place(nodes=nodes, node_rank=node_rank or 0, ranks=int(ranks), main=main)


def _count_gpus() -> int:
    import torch

    return torch.cuda.device_count()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _die_with(parent: int) -> None:
    """Have this process told to stop when `parent` is killed, so that no rank is left alone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the ranks of this node."""
    parser = argparse.ArgumentParser(
        description="Start the ranks of one node, and end as they end.",
        epilog="example: python launch/node.py --ranks 2 -- -m gsv2.train configs/gpt/debug.yaml",
    )
    parser.add_argument("--nodes", type=int, help="machines of the run")
    parser.add_argument("--node-rank", type=int, help="number of this one, from 0")
    parser.add_argument("--ranks", help="of each node; default: the GPUs that it sees, or one")
    parser.add_argument("--main", help="HOST:PORT of node 0; one node takes a free port")
    parser.add_argument(
        "--grace-sec", type=float, default=120.0,
        help="the other ranks may go on for this long after one has failed",
    )  # fmt: skip
    parser.add_argument("command", nargs="+", help="what python runs: `-m MODULE ...` or a file")
    options = parser.parse_args(arguments)
    ranks = Ranks(grace_sec=options.grace_sec)  # before anything slow: it takes the signals
    try:
        place = find_place(options, os.environ)
    except ValueError as error:
        sys.stderr.write(f"launch/node.py: error: {error}\n")
        return 2
    ranks.start(place, options.command)
    return ranks.wait()


if __name__ == "__main__":
    sys.exit(main())
