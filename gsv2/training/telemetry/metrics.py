"""Metrics of a run between two records: means over the targets of all ranks, and wall time."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor

from gsv2.training.distributed.ranks import Distributed

_SHORTEST_LAP_SEC = 1e-9


class WeightedMeans:
    """Named means; those of tensors stay on the device until `sums`."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor | float] = {}
        self._weights: dict[str, float] = {}

    def add(self, values: Mapping[str, Tensor | float], weight: float) -> None:
        """Add means over `weight` targets.

        Args:
            values: name -> [] tensor, or what the host knows, which costs the device nothing.
            weight: number of targets; 0 adds the names only.
        """
        for name, value in values.items():
            number = value.detach().double() if isinstance(value, Tensor) else value
            part = number * weight if weight else 0.0
            self._sums[name] = self._sums[name] + part if name in self._sums else part
            self._weights[name] = self._weights.get(name, 0.0) + weight

    def sums(self) -> dict[str, tuple[float, float]]:
        """Return name -> sum and weight of this rank; waits for the device once."""
        tensors = {name: value for name, value in self._sums.items() if isinstance(value, Tensor)}
        numbers = torch.stack(list(tensors.values())).tolist() if tensors else []
        sums = {**self._sums, **dict(zip(tensors, numbers, strict=True))}
        return {name: (float(total), self._weights[name]) for name, total in sums.items()}

    def reduce(self, distributed: Distributed) -> dict[str, float]:
        """Return the means over all ranks, the same on each. Collective."""
        return merge_sums(distributed.gather(self.sums()))


def merge_sums(ranks: Iterable[Mapping[str, tuple[float, float]]]) -> dict[str, float]:
    """Return the means over the sums of all ranks; a name without targets is left out."""
    totals: dict[str, tuple[float, float]] = {}
    for of_rank in ranks:
        for name, (total, weight) in of_rank.items():
            old_total, old_weight = totals.get(name, (0.0, 0.0))
            totals[name] = (old_total + total, old_weight + weight)
    return {name: total / weight for name, (total, weight) in totals.items() if weight}


class Times(NamedTuple):
    """Times of a run that decide when it ends."""

    elapsed_sec: float
    """Wall time so far."""
    ending_sec: float
    """Time of the last validation and checkpoint: as much as the longest ones so far took."""
    step_sec: float
    """Mean time of a step in the lap before."""


class RunClock:
    """Counts on from the time of the launches before.

    Args:
        elapsed_sec: wall time of those launches.
        ending_sec: `times.ending_sec` at their end.
    """

    def __init__(self, elapsed_sec: float, ending_sec: float = 0.0) -> None:
        self._start = time.perf_counter() - elapsed_sec
        self._lap_start = time.perf_counter()
        self._lap_steps = 0
        self._step_sec = 0.0
        self._longest = {"before": ending_sec}
        self.lap_read_sec = 0.0
        """Time since the last lap in which this rank read its data; whoever reads adds to it."""

    @property
    def elapsed_sec(self) -> float:
        """Wall time of the run so far."""
        return time.perf_counter() - self._start

    @property
    def times(self) -> Times:
        """Times of the run so far."""
        before, *parts = self._longest.values()
        return Times(self.elapsed_sec, max(before, sum(parts)), self._step_sec)

    @contextmanager
    def ending(self, part: str) -> Iterator[None]:
        """Take the time inside for what this part of the end of a run will take, if it is more."""
        start = time.perf_counter()
        yield
        self._longest[part] = max(self._longest.get(part, 0.0), time.perf_counter() - start)

    @contextmanager
    def pausing(self, part: str) -> Iterator[None]:
        """Leave the time inside out of the lap: it is no training, but a part of the end."""
        start = time.perf_counter()
        try:
            with self.ending(part):
                yield
        finally:
            self._lap_start += time.perf_counter() - start

    def count_step(self) -> None:
        """Count one optimizer step."""
        self._lap_steps += 1

    @property
    def lap_sec(self) -> float:
        """Training time since the last lap, above 0."""
        return max(time.perf_counter() - self._lap_start, _SHORTEST_LAP_SEC)

    def lap(self, longest_read_sec: float) -> dict[str, float]:
        """Return the timing figures since the last lap, and begin the next.

        Args:
            longest_read_sec: `lap_read_sec` of the slowest rank, for which the others wait.
        """
        span = self.lap_sec
        self._step_sec = span / max(self._lap_steps, 1)
        figures = {
            "time": self.elapsed_sec,
            "train/steps_per_sec": self._lap_steps / span,
            "data/wait_share": longest_read_sec / span,
        }
        self._lap_start, self.lap_read_sec, self._lap_steps = time.perf_counter(), 0.0, 0
        return figures
