"""A finding of `gsv2 doctor`; importing this loads no library that may be broken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

MIN_FREE_GIB = 5.0
"""Less free disk or memory than this is worth a warning."""
GIB = 2**30


class Check(NamedTuple):
    """One finding."""

    name: str
    status: Literal["ok", "warn", "fail"]
    detail: str


def attempt(name: str, check: Callable[[], str]) -> Check:
    """Return what a check found; its error is a failed check."""
    try:
        return Check(name, "ok", check())
    except (ValueError, OSError, ImportError, RuntimeError) as error:
        return Check(name, "fail", " ".join(str(error).split()))


def free_room(name: str, free_bytes: float) -> Check:
    """Return a warning if little of something is free."""
    status: Literal["ok", "warn"] = "ok" if free_bytes >= MIN_FREE_GIB * GIB else "warn"
    return Check(name, status, f"{free_bytes / GIB:.1f} GiB free")
