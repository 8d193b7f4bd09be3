"""The batch contract: what the stream hands to a stage, written once."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class BadClip:
    """A clip that could not be read."""

    key: str
    shard: str
    """Path of the tar."""
    reason: str


@dataclass(frozen=True, kw_only=True)
class Batch:
    """One micro-batch of C clips in Q same-speaker sequences.

    Clips of one sequence are adjacent and in prompt order. Tensors that the stage did not ask
    for are None.
    """

    micro_batch: int
    """Global number k of the micro-batch."""
    epoch: int
    """Epoch of the lane that it came from."""
    keys: tuple[str, ...]
    """Key of each clip, C of them."""
    speakers: tuple[str, ...]
    languages: tuple[str, ...]
    texts: tuple[str, ...]
    sequence: Tensor
    """[C] int64: number of the clip's sequence, 0..Q-1, ascending."""
    wave: Tensor | None = None
    """[C, 1, N] float32, zero-padded, at `SAMPLE_RATE`."""
    wave_lengths: Tensor | None = None
    """[C] int64, in samples."""
    codes: Tensor | None = None
    """[C, K, T] int64, padded with -1."""
    code_lengths: Tensor | None = None
    """[C] int64, in code frames."""
    weight: float = 1.0
    """0 for a batch that only keeps the ranks equal in number (validation)."""
    padding: float = 0.0
    """Share of the padded budget that is padding."""
    bad: tuple[BadClip, ...] = ()
    """Clips of the plan that are missing here because they could not be read."""

    @property
    def num_clips(self) -> int:
        """Number of clips, C."""
        return len(self.keys)

    def to(self, device: torch.device) -> Batch:
        """Return the batch with its tensors on `device`."""
        moved: dict[str, Any] = {
            f.name: value.to(device, non_blocking=True)
            for f in fields(self)
            if isinstance(value := getattr(self, f.name), Tensor)
        }
        return replace(self, **moved)
