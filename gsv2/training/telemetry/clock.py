"""Wall time of a run, and where it goes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

TIMING_KEYS = frozenset(
    {
        "time",
        "checkpoint/blocked_sec",
        "checkpoint/write_sec",
        "data/wait_share",
        "train/steps_per_sec",
        "train/tokens_per_sec",
        "train/audio_sec_per_sec",
        "train/mfu",
        "train/host_memory_gib",
        "train/device_memory_gib",
    }
)
"""Keys of metrics.jsonl that two runs of one seed do not share."""
_SHORTEST_LAP_SEC = 1e-9


class RunClock:
    """Counts on from the time of the launches before."""

    def __init__(self, elapsed_sec: float) -> None:
        self._start = time.perf_counter() - elapsed_sec
        self._lap_start = time.perf_counter()
        self._lap_steps = 0
        self.lap_read_sec = 0.0
        """Time since the last lap in which this rank read its data; whoever reads adds to it."""

    @property
    def elapsed_sec(self) -> float:
        """Wall time of the run so far."""
        return time.perf_counter() - self._start

    @contextmanager
    def pausing(self) -> Iterator[None]:
        """Leave the time inside out of the lap: it is no training."""
        start = time.perf_counter()
        try:
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
        figures = {
            "time": self.elapsed_sec,
            "train/steps_per_sec": self._lap_steps / span,
            "data/wait_share": longest_read_sec / span,
        }
        self._lap_start, self.lap_read_sec, self._lap_steps = time.perf_counter(), 0.0, 0
        return figures
