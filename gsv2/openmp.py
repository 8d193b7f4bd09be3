"""OpenMP settings of a process and of those that it starts: number of threads, spinning, cores.

GNU's OpenMP, which torch's wheels for Linux bring, lets a thread that waits for the others spin for
300,000 rounds (9 ms on an EPYC) before it sleeps. On cores that somebody else uses too, a thread
spins in the place of the one that it waits for: a training step takes up to ten times as long. It
reads its settings when it is loaded, so that this module imports nothing.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping

SPIN_ROUNDS = "2000"
"""About 0.06 ms: longer than most of what lies between two parallel loops of a training step,
shorter than any time slice."""
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""What torch asks for its number of threads."""
_WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")


def limit_spinning(environment: MutableMapping[str, str]) -> None:
    """Let threads that wait sleep soon, unless the user has said how they wait.

    Call it before torch is imported.

    Args:
        environment: variables of the process, `os.environ`; changed.
    """
    if not any(environment.get(name) for name in _WAITING):
        environment["GOMP_SPINCOUNT"] = SPIN_ROUNDS


def child_environment(environment: Mapping[str, str], threads: int) -> dict[str, str]:
    """Return the environment of a process of so many threads, which sleep soon when they wait."""
    names = (*_THREADS, "OPENBLAS_NUM_THREADS")
    of_child = {**environment, **dict.fromkeys(names, str(threads))}
    limit_spinning(of_child)
    return of_child


def names_threads(environment: Mapping[str, str]) -> str | None:
    """Return the variable by which user or launcher chose the number of threads; None = neither."""
    return next((name for name in _THREADS if environment.get(name)), None)


def describe_waiting(environment: Mapping[str, str]) -> str:
    """Return how threads wait, in words."""
    if policy := environment.get("OMP_WAIT_POLICY"):
        return f"OMP_WAIT_POLICY={policy}"
    rounds = environment.get("GOMP_SPINCOUNT")
    return f"spinning for at most {rounds} rounds" if rounds else "spinning as OpenMP likes"


def num_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
