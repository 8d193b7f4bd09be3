"""metrics.jsonl, Weights & Biases and the progress bar."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class TrackingConfig:
    """The `tracking` section."""

    wandb: Literal["disabled", "offline", "online"] = "disabled"
    project: str = "gsv2"
    progress: bool = True
    """Show a progress bar on the main rank."""
