"""Budget of time: each step gets its share of what is left, so that the whole fits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

ENDING_SHARE = 0.12
"""Share of the time that is kept for the bundle and its evaluation,"""
MAX_ENDING_SEC = 300.0
"""and the most of it, in seconds: no more sentences are judged in a longer fit."""


@dataclass(frozen=True, kw_only=True)
class TimeBudget:
    """Time of a chain of steps."""

    total_sec: float
    """Wall time of the whole chain."""
    weights: Mapping[str, float]
    """Step that trains -> its share of the time that the others leave, relative to the steps
    after it; in the order that they are taken in."""
    kept_sec: float = 0.0
    """Time for what comes after the last of them."""

    def __post_init__(self) -> None:
        """Check what no type can."""
        if not 0 < self.total_sec < math.inf:
            raise ValueError(f"the time must be above 0, but is {self.total_sec} s")

    def allot(self, name: str, used_sec: Mapping[str, float]) -> float:
        """Return the seconds that a step may use in all, also those of earlier calls.

        Args:
            name: step that begins, or goes on.
            used_sec: step -> seconds used so far, of all steps of the chain.
        """
        others = sum(seconds for step, seconds in used_sec.items() if step != name)
        left = self.total_sec - self.kept_sec - others
        return max(left, 0.0) * self._share(name)

    def plan(self) -> dict[str, float]:
        """Return step -> seconds, if nothing but these steps takes time."""
        used: dict[str, float] = {}
        for name in self.weights:
            used[name] = self.allot(name, used)
        return used

    def _share(self, name: str) -> float:
        names = list(self.weights)
        pending = names[names.index(name) :]
        return self.weights[name] / sum(self.weights[step] for step in pending)
