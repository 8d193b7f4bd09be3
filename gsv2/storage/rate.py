"""Least rate of a remote: a server that gives a byte now and then is never silent."""

from __future__ import annotations


class SlowError(OSError):
    """A remote that gives less than it must."""


class RateMeter:
    """Counts what a remote gives while it is waited for, window by window.

    Args:
        min_bytes_per_sec: less over a window is an error; 0 = any rate is right.
        window_sec: seconds of waiting; what the reader does between its reads does not count.
    """

    def __init__(self, min_bytes_per_sec: float, window_sec: float) -> None:
        self.num_slow = 0
        """Windows below the rate since the last that was not."""
        self._min_rate = min_bytes_per_sec
        self._window_sec = window_sec
        self._bytes = 0
        self._seconds = 0.0

    def add(self, num_bytes: int, seconds: float) -> None:
        """Count a read.

        Raises:
            SlowError: it ends a window below the rate.
        """
        self._bytes += num_bytes
        self._seconds += seconds
        if self._seconds < self._window_sec:
            return
        given, waited = self._bytes, self._seconds
        self._bytes, self._seconds = 0, 0.0
        if given < self._min_rate * waited:
            self.num_slow += 1
            raise SlowError(
                f"the server gave {given} bytes in {waited:.3g} s, fewer than "
                f"data.remote.min_bytes_per_sec ({self._min_rate:g})"
            )
        self.num_slow = 0
