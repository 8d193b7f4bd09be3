"""Atomic, checksummed checkpoints in safetensors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class CheckpointConfig:
    """The `checkpoint` section."""

    every_steps: int = 1000
    keep_last: int = 3
    resume: str = "auto"
    """`auto` (newest whole checkpoint of the run, if any), `none`, or a checkpoint folder."""


def find_component(path: Path, name: str) -> Path:
    """Return the file `NAME.safetensors` of a run folder, a checkpoint, a bundle or a file path.

    Of a run folder, the newest whole checkpoint is meant.
    """
    raise NotImplementedError
