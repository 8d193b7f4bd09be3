"""Loops over numpy arrays that numba compiles, once for all processes of a machine.

To compile takes seconds, as long as many a command that needs it. What was compiled lies beside the
module or in the user's folder of caches; where neither can be written, each process compiles anew.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def compile_loops(
    walk: Callable[..., Any], by_numpy: Callable[..., Any], types: str
) -> Callable[..., Any]:
    """Return the compiled loops; those by numpy where there is no numba.

    Args:
        walk: plain loops; a function of a module.
        by_numpy: gives the same without numba.
        types: types of the arguments, as numba writes them: `(float64[:,::1], boolean[::1])`.
    """
    try:
        from numba import njit
    except ImportError:  # pragma: no cover - numba is a dependency, but has no wheel everywhere
        return by_numpy
    try:
        return _compiled(njit(types, nogil=True, cache=True), walk)
    except (RuntimeError, OSError):  # numba finds no folder for its cache; or its disk is full
        return _compiled(njit(types, nogil=True), walk)


def _compiled(compiler: Callable[..., Any], walk: Callable[..., Any]) -> Callable[..., Any]:
    loops: Callable[..., Any] = compiler(walk)
    return loops
