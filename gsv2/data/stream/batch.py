"""The batch contract: what the stream hands to a stage, written once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from gsv2.data.plan.window import LaneMark


@dataclass(frozen=True, kw_only=True)
class BadClip:
    """A clip that could not be read."""

    key: str
    shard: str
    """Path or URL of the tar."""
    reason: str
    component: int = 0
    """Part of the mixture that it belongs to, see `gsv2.data.plan.mixture`."""
    epoch: int = 0
    """Of its component in the lane."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """One micro-batch of C clips in Q same-speaker sequences.

    Clips of one sequence are adjacent and in prompt order. Tensors that the stage did not ask
    for are None.
    """

    micro_batch: int
    """Global number k of the micro-batch."""
    lane: int
    """Lane that it came from."""
    epoch: int
    """Epoch of the lane; the lowest of its clips' where a mixture has several."""
    mark: LaneMark
    """Where the lane's window began, from which a run finds back to here."""
    keys: tuple[str, ...]
    """Key of each clip, C of them."""
    speakers: tuple[str, ...]
    languages: tuple[str, ...]
    texts: tuple[str, ...]
    components: tuple[int, ...]
    """Part of the mixture that each clip belongs to."""
    epochs: tuple[int, ...]
    """Epoch of each clip's component in the lane."""
    sequence: Tensor
    """[C] int64: number of the clip's sequence, 0..Q-1, ascending."""
    row: Tensor | None = None
    """[C] int64: row that the clip's sequence is packed into, ascending; None unless packed."""
    num_rows: int = 0
    """Rows of a packed micro-batch, some of which may be empty; 0 unless packed."""
    row_tokens: int = 0
    """Tokens of a row; 0 unless packed."""
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
        return self._map(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Batch:
        """Return the batch in page-locked memory; DataLoader calls this."""
        return self._map(Tensor.pin_memory)

    def _map(self, change: Callable[[Tensor], Tensor]) -> Batch:
        changed: dict[str, Any] = {
            f.name: change(value)
            for f in fields(self)
            if isinstance(value := getattr(self, f.name), Tensor)
        }
        return replace(self, **changed)
