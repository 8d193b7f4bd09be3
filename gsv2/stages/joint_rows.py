"""Packed rows for the GPT of the joint stage, whose micro-batches are cut for the waveform model.

The plan buckets clips by frames, so that the GPT's sequences, of one clip or several, are of any
length. They are packed end to end, into as many rows as can be filled (arXiv:2107.02027): short
rows cost the least attention.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor

from gsv2.data.stream.batch import TUPLES_OF_BATCH, Batch

MAX_PADDING = 0.02
"""Largest share of a grid of several rows that may be padding."""
_MULTIPLE = 8
"""Rows are as long as a multiple of this number of tokens, which kernels like."""


def pack_rows(batch: Batch, tokens: Sequence[int]) -> Batch:
    """Return the clips of a batch in packed rows, ordered by row, without their audio.

    Args:
        batch: batch with a clip.
        tokens: tokens of each clip.
    """
    sequence = batch.sequence.tolist()
    lengths = [0] * (sequence[-1] + 1)
    for place, count in zip(sequence, tokens, strict=True):
        lengths[place] += count
    row_of, row_tokens = choose_rows(lengths)
    order = sorted(range(len(sequence)), key=lambda clip: (row_of[sequence[clip]], sequence[clip]))
    picked = _reordered(batch, order)
    rows = [row_of[sequence[clip]] for clip in order]
    is_new = picked.sequence.diff(prepend=picked.sequence[:1]) != 0
    return replace(
        picked,
        sequence=is_new.cumsum(0),
        packed_row=torch.tensor(rows, device=batch.sequence.device),
        num_packed_rows=max(rows) + 1,
        row_tokens=row_tokens,
    )


def choose_rows(lengths: Sequence[int]) -> tuple[list[int], int]:
    """Return the row of each sequence, and the tokens of a row.

    The largest number of rows that leaves no more than `MAX_PADDING` empty, one if none does;
    longest sequences first, each into the row with the most room.

    Args:
        lengths: tokens of each sequence, at least one.
    """
    total = sum(lengths)
    for num_rows in range(max(1, total // max(lengths)), 1, -1):
        row_of, longest = _fill(lengths, num_rows)
        row_tokens = -(-longest // _MULTIPLE) * _MULTIPLE
        if total >= (1 - MAX_PADDING) * num_rows * row_tokens:
            return row_of, row_tokens
    return [0] * len(lengths), -(-total // _MULTIPLE) * _MULTIPLE


def _fill(lengths: Sequence[int], num_rows: int) -> tuple[list[int], int]:
    """Return the row of each sequence, and the tokens of the fullest row."""
    row_of, filled = [0] * len(lengths), [0] * num_rows
    for place in sorted(range(len(lengths)), key=lambda place: -lengths[place]):
        row_of[place] = filled.index(min(filled))
        filled[row_of[place]] += lengths[place]
    return row_of, max(filled)


def _reordered(batch: Batch, order: Sequence[int]) -> Batch:
    """Return the clips of a batch in another order, without their audio."""
    index = torch.tensor(order, device=batch.sequence.device)
    per_clip: dict[str, Any] = {"wave": None, "wave_lengths": None}
    for field in fields(batch):
        value = getattr(batch, field.name)
        if field.name in per_clip or field.name in TUPLES_OF_BATCH:
            continue
        if isinstance(value, Tensor):
            per_clip[field.name] = value[index]
        elif isinstance(value, tuple):
            per_clip[field.name] = tuple(value[clip] for clip in order)
    return replace(batch, **per_clip)
