"""Batch, the contract of what the stream hands to a stage, written once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from gsv2.data.plan.window import LanePosition

TUPLES_OF_BATCH = ("bad", "position")
"""Fields of a batch that are tuples, but not of one value a clip."""


@dataclass(frozen=True, kw_only=True)
class BadClip:
    """A clip that could not be read."""

    key: str
    shard: str
    """Path or URL of the tar."""
    reason: str
    mixture_part: int = 0
    """Number of the part of the mixture that it belongs to, see `gsv2.data.plan.mixture`."""
    epoch: int = 0
    """Epoch of its mixture part in the lane."""

    def to_record(self) -> dict[str, Any]:
        """Return the values by the names that `quarantine.jsonl` has."""
        values = {"key": self.key, "shard": self.shard, "reason": self.reason}
        return {**values, "component": self.mixture_part, "epoch": self.epoch}


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
    position: LanePosition
    """Where the lane's window began, from which a run finds back to here."""
    keys: tuple[str, ...]
    """Key of each clip, C of them."""
    speakers: tuple[str, ...]
    languages: tuple[str, ...]
    texts: tuple[str, ...]
    mixture_parts: tuple[int, ...]
    """Number of the part of the mixture that each clip belongs to."""
    epochs: tuple[int, ...]
    """Epoch of each clip's mixture part in the lane."""
    sequence: Tensor
    """[C] int64: number of the clip's sequence, 0..Q-1, ascending."""
    packed_row: Tensor | None = None
    """[C] int64: packed row of the clip's sequence, ascending; None unless packed."""
    num_packed_rows: int = 0
    """Number of packed rows, some of which may be empty; 0 unless packed."""
    row_tokens: int = 0
    """Number of tokens of a packed row; 0 unless packed."""
    wave: Tensor | None = None
    """[C, 1, N] float32, zero-padded, at `SAMPLE_RATE`."""
    wave_lengths: Tensor | None = None
    """[C] int64, in samples."""
    codes: Tensor | None = None
    """[C, K, T] int64, padded with -1."""
    code_lengths: Tensor | None = None
    """[C] int64, in code frames."""
    alignments: Tensor | None = None
    """[C, T] int64: character of the text that is spoken at each code frame, padded with -1."""
    text_vectors: Tensor | None = None
    """[C, S, D] float16: vectors of the tokens of each text, padded with 0."""
    text_vector_lengths: Tensor | None = None
    """[C] int64, in tokens."""
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
