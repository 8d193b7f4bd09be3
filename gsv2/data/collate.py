"""Clips -> one padded Batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from gsv2.data.batch import BadClip, Batch
from gsv2.data.decode import Clip
from gsv2.data.plan import MicroBatchPlan

CODE_PADDING = -1
"""Value of `Batch.codes` beyond a clip's end."""


def collate(
    planned: MicroBatchPlan,
    clips: Sequence[Sequence[Clip]],
    bad: Sequence[BadClip] = (),
) -> Batch:
    """Pad and stack the clips of a micro-batch.

    Args:
        planned: where the batch stands in the stream.
        clips: clips of each sequence, as far as they could be read. Without any, the batch has
            no clips, no tensors but an empty `sequence`, and weight 0.
        bad: clips of the plan that are missing.
    """
    kept = [sequence for sequence in clips if sequence]
    flat = [clip for sequence in kept for clip in sequence]
    wave, wave_lengths = _stack([c.wave[None] for c in flat if c.wave is not None], 0.0)
    codes, code_lengths = _stack([c.codes for c in flat if c.codes is not None], CODE_PADDING)
    numbers = [number for number, sequence in enumerate(kept) for _ in sequence]
    return Batch(
        micro_batch=planned.micro_batch,
        epoch=planned.epoch,
        keys=tuple(clip.key for clip in flat),
        speakers=tuple(clip.speaker for clip in flat),
        languages=tuple(clip.language for clip in flat),
        texts=tuple(clip.text for clip in flat),
        sequence=torch.tensor(numbers, dtype=torch.int64),
        wave=wave,
        wave_lengths=wave_lengths,
        codes=codes,
        code_lengths=code_lengths,
        weight=1.0 if flat else 0.0,
        padding=planned.padding,
        bad=tuple(bad),
    )


def _stack(arrays: list[np.ndarray], padding: float) -> tuple[Tensor | None, Tensor | None]:
    """Stack [C_i, T_i] into [B, C, T] with lengths [B]; (None, None) for nothing."""
    if not arrays:
        return None, None
    lengths = [array.shape[1] for array in arrays]
    shape = (len(arrays), arrays[0].shape[0], max(lengths))
    stacked = np.full(shape, padding, dtype=arrays[0].dtype)
    for row, array in zip(stacked, arrays, strict=True):
        row[:, : array.shape[1]] = array
    return torch.from_numpy(stacked), torch.tensor(lengths, dtype=torch.int64)
