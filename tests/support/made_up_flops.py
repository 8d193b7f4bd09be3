"""Stand-in for the count of FLOPs, for tests of what a stage makes of it; counting takes seconds.

The count itself is compared with what torch counts in real steps in `test_vits2_flops.py`.
"""

from __future__ import annotations

from collections.abc import Sequence


class MadeUpFlops:
    """Has the names of `VITS2Flops`: as many FLOPs as frames, and simple ones of a segment."""

    judgement = 1.0
    discriminator_update = 3.0

    def __init__(self, *_: object) -> None:
        """Count nothing."""

    def generator(self, frames: Sequence[int], tokens: Sequence[int] | None = None) -> float:
        """Return the number of frames."""
        return float(sum(frames))
