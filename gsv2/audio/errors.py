"""Errors of audio that cannot be used."""

from __future__ import annotations


class WaveError(ValueError):
    """Audio that cannot be used; the message names the thing and the reason.

    Args:
        reason: a fixed phrase, then values behind a colon, as `cut: header says 4.00 s, 1.27 s
            decoded`.
        place: name of the file; "" where the caller names it.
        measured: what was measured, where the reason is a limit.
        threshold: bound that the value must keep.
    """

    def __init__(
        self,
        reason: str,
        place: str = "",
        measured: float | None = None,
        threshold: float | None = None,
    ) -> None:
        super().__init__(f"{place}: {reason}" if place else reason)
        self.reason = reason
        self.place = place
        self.measured = measured
        self.threshold = threshold

    @property
    def kind(self) -> str:
        """Reason without its values: a fixed phrase by which clips are counted."""
        return self.reason.partition(":")[0]

    def __reduce__(
        self,
    ) -> tuple[type[WaveError], tuple[str, str, float | None, float | None]]:
        """Let the error pass from one process to another."""
        return WaveError, (self.reason, self.place, self.measured, self.threshold)


def cut_error(promised_sec: float, found_sec: float, found: str = "decoded") -> WaveError:
    """Return the error of a file that ends before its header says."""
    return WaveError(f"cut: header says {promised_sec:.2f} s, {found_sec:.2f} s {found}")


def too_long_error(found_sec: float, max_sec: float) -> WaveError:
    """Return the error of a file that is longer than what is read."""
    reason = f"too long: {found_sec:.2f} s, at most {max_sec:.2f} s can be read"
    return WaveError(reason, measured=found_sec, threshold=max_sec)
