"""Findings of a verification: problems by kind, with the first examples of each."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

_EXAMPLES = 3  # of each kind of problem
_TOLERANCE = 1e-6  # relative; sums of doubles in another order


def short_hash(value: str) -> str:
    """Return enough of a hash to tell it from others."""
    return value[:16]


@dataclass(frozen=True)
class Problem:
    """All that is wrong with a shard in one way."""

    shard: str
    """Name; "" = the corpus."""
    kind: str
    """A fixed phrase."""
    count: int
    """Clips or members, or 1."""
    examples: tuple[str, ...]
    """The first keys, or what is wrong."""


@dataclass
class Findings:
    """Problems of one shard, as they are found."""

    shard: str
    """Name; "" = the corpus."""
    problems: dict[str, tuple[int, tuple[str, ...]]] = field(default_factory=dict)
    """Kind -> count and examples."""

    def add(self, kind: str, example: str, count: int = 1) -> None:
        """Count a problem and keep its first examples."""
        before, examples = self.problems.get(kind, (0, ()))
        shown = examples if len(examples) >= _EXAMPLES else (*examples, example)
        self.problems[kind] = (before + count, shown)

    def expect(self, kind: str, found: object, expected: object) -> None:
        """Add a problem if two values differ; floats may by their rounding."""
        if isinstance(found, float) and isinstance(expected, int | float):
            equal = math.isclose(found, expected, rel_tol=_TOLERANCE)
        else:
            equal = found == expected
        if not equal:
            self.add(kind, f"{found}, not {expected}")

    def __iter__(self) -> Iterator[Problem]:
        for kind, (count, examples) in self.problems.items():
            yield Problem(self.shard, kind, count, examples)
