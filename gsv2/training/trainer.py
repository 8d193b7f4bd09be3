"""The one training loop."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class TrainerConfig:
    """The `trainer` section."""

    max_steps: int
    log_every_steps: int = 10
    validate_every_steps: int = 0
    """0 = only after the last step."""
    max_skipped_steps: int = 50
    """The run stops when more updates than this were skipped for a non-finite loss."""
