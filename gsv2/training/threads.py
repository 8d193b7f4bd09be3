"""Number of threads of work on a CPU: by the environment, by the launch before, or by measurement.

More threads than one pay on a quiet machine, and cost on one that others use too: the end of every
parallel loop waits for the thread that lost its core. So a run looks before it starts.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from gsv2.openmp import describe_waiting, names_threads, num_cores
from gsv2.training.distributed.ranks import Distributed
from gsv2.training.run_folder.folder import RunFolder

logger = logging.getLogger(__name__)

MEASURE_SEC = 1.5
"""Longest measurement, up to one piece of work."""
_MAX_ROUNDS = 40
_WORTH = 1.1
"""More threads are taken if fewer need at least so many times as long."""
_CHANNELS, _FRAMES = 128, 256
"""Sizes of a network that is trained on a CPU."""


@dataclass(frozen=True, kw_only=True)
class ThreadChoice:
    """A number of threads and what it was chosen by."""

    threads: int
    reason: str

    @property
    def label(self) -> str:
        """The number in words."""
        return f"{self.threads} thread{'s' if self.threads > 1 else ''}"


def run_threads(
    folder: RunFolder, distributed: Distributed, *, resumes: bool
) -> AbstractContextManager[None]:
    """Compute a run by a number of threads that suits the machine.

    Args:
        folder: folder of the run, which knows what its last launch took.
        distributed: ranks of the run.
        resumes: whether the run goes on where its last launch ended: the sums of other threads
            differ in their last bits.
    """
    is_cpu = distributed.device.type == "cpu"
    return computing_threads(distributed, folder.last_threads() if resumes and is_cpu else None)


@contextmanager
def computing_threads(distributed: Distributed, last: int | None = None) -> Iterator[None]:
    """Compute by a number of threads that suits the machine; afterwards by as many as before.

    One process without a GPU measures (see `choose_threads`); ranks share the cores.

    Args:
        distributed: ranks of this process.
        last: number of threads to keep; None = there is none.
    """
    if distributed.device.type != "cpu":
        yield
        return
    is_alone = distributed.world == 1
    local_ranks = None if is_alone else int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    choice = choose_threads(last, local_ranks=local_ranks)
    usual = torch.get_num_threads()
    torch.set_num_threads(choice.threads)
    if distributed.is_main:
        waiting = f"; {describe_waiting(os.environ)}" if choice.threads > 1 else ""
        where = "" if is_alone else " a rank"
        logger.info("computing on %s%s: %s%s", choice.label, where, choice.reason, waiting)
    try:
        yield
    finally:
        torch.set_num_threads(usual)


def choose_threads(
    last: int | None, *, local_ranks: int | None = None, limit: int = 0
) -> ThreadChoice:
    """Choose the number of threads of this process.

    The environment wins (`OMP_NUM_THREADS`). Ranks get equal shares of the cores. A process alone
    takes what the run computed by before, or measures.

    Args:
        last: number of threads of the run's last launch; None = there was none.
        local_ranks: ranks on this machine; None = the process is alone.
        limit: most threads; 0 = the cores that this process may use.
    """
    cores = limit or num_cores()
    if name := names_threads(os.environ):
        return ThreadChoice(threads=torch.get_num_threads(), reason=f"{name} says so")
    if local_ranks is not None:
        reason = f"{local_ranks} ranks of this machine share {cores} cores"
        return ThreadChoice(threads=max(1, cores // local_ranks), reason=reason)
    if last is not None and last <= cores:
        return ThreadChoice(threads=last, reason="as in the launch before, so that sums are equal")
    if cores == 1:
        return ThreadChoice(threads=1, reason="no more than one core is there for it")
    times = measure_threads(candidates(cores), training_work(), MEASURE_SEC)
    return fastest(times)


def candidates(cores: int) -> list[int]:
    """Return the numbers of threads to try: 1, 2, 4, ... and all cores."""
    doubled = [1]
    while 2 * doubled[-1] < cores:
        doubled.append(2 * doubled[-1])
    return doubled if cores == 1 else [*doubled, cores]


def measure_threads(
    numbers: Sequence[int], work: Callable[[], object], max_sec: float
) -> dict[int, float]:
    """Return number of threads -> mean seconds of a piece of work, all numbers in turn.

    A first round is not counted. Empty if there was no time for a second one. torch computes by as
    many threads as before afterwards.
    """
    usual, end = torch.get_num_threads(), time.perf_counter() + max_sec
    rounds: list[list[float]] = []
    try:
        while len(rounds) <= _MAX_ROUNDS:
            took = []
            for number in numbers:
                torch.set_num_threads(number)
                start = time.perf_counter()
                if start > end:
                    return _means(numbers, rounds[1:])
                work()
                took.append(time.perf_counter() - start)
            rounds.append(took)
        return _means(numbers, rounds[1:])
    finally:
        torch.set_num_threads(usual)


def fastest(times: Mapping[int, float]) -> ThreadChoice:
    """Return the fewest threads that are nearly as fast as the fastest number.

    Args:
        times: number of threads -> seconds of a piece of work; empty = none was finished in time.
    """
    if not times:
        return ThreadChoice(threads=1, reason="the cores are too busy to measure what more bring")
    best = min(times.values())
    chosen = min(number for number, seconds in times.items() if seconds <= _WORTH * best)
    measured = ", ".join(f"{1e3 * seconds:.1f} ms on {number}" for number, seconds in times.items())
    return ThreadChoice(threads=chosen, reason=f"a piece of training takes {measured}")


def training_work() -> Callable[[], object]:
    """Return a pass and its gradients through convolutions and products as a run has them."""
    rng = torch.Generator().manual_seed(0)  # and not the one that the run draws from
    C = _CHANNELS
    with torch.random.fork_rng(devices=()):
        net = nn.Sequential(
            nn.Conv1d(C, C, 5, padding=2), nn.GELU(),
            nn.Conv1d(C, C, 7, padding=3, groups=C), nn.Conv1d(C, 3 * C, 1), nn.GELU(),
            nn.Conv1d(3 * C, C, 1),
        )  # fmt: skip
        head = nn.Sequential(nn.Linear(C, 4 * C), nn.SiLU(), nn.Linear(4 * C, C), nn.LayerNorm(C))
    weights = [*net.parameters(), *head.parameters()]
    x = torch.randn(2, C, _FRAMES, generator=rng)

    def work() -> None:
        loss = head(net(x).transpose(1, 2)).square().mean()
        torch.autograd.grad(loss, weights)

    return work


def _means(numbers: Sequence[int], rounds: Sequence[Sequence[float]]) -> dict[int, float]:
    if not rounds:
        return {}
    totals = [sum(times) for times in zip(*rounds, strict=True)]
    return {number: total / len(rounds) for number, total in zip(numbers, totals, strict=True)}
