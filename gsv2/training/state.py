"""Where a run stands, beside its weights."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(kw_only=True)
class TrainState:
    """The numbers that a checkpoint holds; equal on all ranks."""

    step: int = 0
    """Optimizer steps done."""
    next_micro_batch: int = 0
    """Global number k of the first micro-batch not yet used."""
    skipped: int = 0
    """Updates left out for a loss or gradient that was not finite, and steps without data."""
    samples_seen: int = 0
    """Clips trained on, over all ranks."""
    bad_clips: int = 0
    """Clips that could not be read, over all ranks."""
    time_sec: float = 0.0
    """Wall time of the run up to here, over all its launches."""
