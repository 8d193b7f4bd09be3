"""Run of a build: who does the work, and what is shown of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from gsv2.data.process_pool import Pool, ProcessPool
from gsv2.data.ray_pool import RayPool

logger = logging.getLogger(__name__)

Engine = Literal["processes", "ray"]
Report = Callable[[Path, Mapping[str, np.ndarray]], object]
"""Corpus folder, and the sounds [N] float32 at 32 kHz of some rejected clips, by key."""


@dataclass(frozen=True, kw_only=True)
class BuildRun:
    """How a build runs and what it shows; the corpus does not depend on it."""

    engine: Engine = "processes"
    """Who reads audio: processes of this machine, or of a Ray cluster."""
    workers: int = 0
    """Number of processes; 0 reads in this one, on a cluster with all its processors."""
    overwrite: bool = False
    """Replace a complete corpus."""
    report: Report | None = None
    """Called with the complete corpus."""
    add: bool = False
    """Add to a complete corpus what the input has that it was not offered yet."""
    say: Callable[[str], object] = logger.info
    """Gets the lines that tell how the input is read, before it is."""
    progress: Callable[[int, int | None], object] | None = None
    """Called with (clips done, clips in all); None = nobody knows how many, as of cuts."""

    @property
    def pool(self) -> Pool:
        """Who works on recordings."""
        return RayPool(self.workers) if self.engine == "ray" else ProcessPool(self.workers)
