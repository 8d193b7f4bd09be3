"""Collation of clips into one padded `Batch`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, repeat

import numpy as np
import torch
from torch import Tensor

from gsv2.data.corpus.decode import Clip
from gsv2.data.plan.plan import MicroBatchPlan
from gsv2.data.stream.batch import BadClip, Batch
from gsv2.data.stream.wave_buffer import WaveBuffer

CODE_PADDING = -1
"""Value of `Batch.codes` and `Batch.alignments` beyond a clip's end."""


def collate(
    planned: MicroBatchPlan,
    clips: Sequence[Sequence[Clip]],
    bad: Sequence[BadClip] = (),
    *,
    buffer: WaveBuffer | None = None,
    num_packed_rows: int = 0,
    row_tokens: int = 0,
) -> Batch:
    """Pad and stack the clips of a micro-batch.

    Args:
        planned: plan of the micro-batch.
        clips: clips of each planned sequence, as far as they could be read. Without any, the
            batch has no clips, no tensors but empty `sequence` and `packed_row`, and weight 0.
        bad: clips of the plan that are missing.
        buffer: memory that the waves were decoded into, a row for each planned clip; None without.
        num_packed_rows: number of rows of a packed micro-batch; 0 unless packed.
        row_tokens: number of tokens of a packed row.

    Raises:
        ValueError: the clips' codes have different numbers of codebooks.
    """
    flat, counts = list(chain.from_iterable(clips)), [len(sequence) for sequence in clips]
    wave, wave_lengths = _stack_waves(flat, buffer or WaveBuffer([]))
    codes, code_lengths = stack_codes([c.codes for c in flat if c.codes is not None])
    vectors, vector_lengths = stack_vectors(flat)
    parts, epochs = zip(*planned.passes, strict=True) if planned.passes else ((), ())
    return Batch(
        micro_batch=planned.micro_batch,
        lane=planned.lane,
        epoch=planned.epoch,
        position=planned.window.position,
        keys=tuple([clip.key for clip in flat]),
        speakers=tuple([clip.speaker for clip in flat]),
        languages=tuple([clip.language for clip in flat]),
        texts=tuple([clip.text for clip in flat]),
        mixture_parts=_spread(parts, counts),
        epochs=_spread(epochs, counts),
        sequence=_number_sequences(counts),
        packed_row=_to_tensor(_spread(planned.packed_rows, counts)) if num_packed_rows else None,
        num_packed_rows=num_packed_rows,
        row_tokens=row_tokens,
        wave=wave,
        wave_lengths=wave_lengths,
        codes=codes,
        code_lengths=code_lengths,
        alignments=_stack_alignments(flat),
        text_vectors=vectors,
        text_vector_lengths=vector_lengths,
        weight=1.0 if flat else 0.0,
        padding=planned.padding,
        bad=tuple(bad),
    )


def _spread(values: Sequence[int], counts: Sequence[int]) -> tuple[int, ...]:
    """Return the value of each sequence once for every clip of it."""
    return tuple(chain.from_iterable(map(repeat, values, counts)))


def _number_sequences(counts: Sequence[int]) -> Tensor:
    """Return the number of each clip's sequence, [C]; those without clips are not counted."""
    kept = [count for count in counts if count]
    return _to_tensor(_spread(range(len(kept)), kept))


def _to_tensor(values: Sequence[int]) -> Tensor:
    """Return int64; by way of numpy, which reads a sequence three times as fast as torch."""
    return torch.from_numpy(np.array(values, dtype=np.int64))


def _stack_waves(clips: Sequence[Clip], buffer: WaveBuffer) -> tuple[Tensor | None, Tensor | None]:
    """Stack waves of N_i samples into [C, 1, N] with lengths [C]; (None, None) for nothing."""
    waves = [clip.wave for clip in clips if clip.wave is not None]
    return buffer.stack(waves) if waves else (None, None)


def _stack_alignments(clips: Sequence[Clip]) -> Tensor | None:
    """Stack [T_i] uint16 into [C, T] int64; None for nothing."""
    stacked, _ = stack_codes([c.alignment[None] for c in clips if c.alignment is not None])
    return None if stacked is None else stacked[:, 0]


def stack_vectors(clips: Sequence[Clip]) -> tuple[Tensor | None, Tensor | None]:
    """Stack [S_i, D] float16 into [C, S, D] with lengths [C]; (None, None) for nothing.

    Raises:
        ValueError: vectors of different dimensions.
    """
    vectors = [clip.text_vectors for clip in clips if clip.text_vectors is not None]
    if not vectors:
        return None, None
    dims = {array.shape[1] for array in vectors}
    if len(dims) > 1:
        raise ValueError(f"text vectors of one micro-batch have dimensions {sorted(dims)}")
    lengths = [len(array) for array in vectors]
    stacked = np.zeros((len(vectors), max(lengths), dims.pop()), dtype=np.float16)
    for row, array in zip(stacked, vectors, strict=True):
        row[: len(array)] = array
    return torch.from_numpy(stacked), _to_tensor(lengths)


def stack_codes(codes: list[np.ndarray]) -> tuple[Tensor | None, Tensor | None]:
    """Stack [K, T_i] uint16 into [C, K, T] int64 with lengths [C]; (None, None) for nothing."""
    if not codes:
        return None, None
    heights = {array.shape[0] for array in codes}
    if len(heights) > 1:
        raise ValueError(f"codes of one micro-batch have {sorted(heights)} codebooks, must be one")
    lengths = [array.shape[1] for array in codes]
    stacked = np.full((len(codes), heights.pop(), max(lengths)), CODE_PADDING, dtype=np.int64)
    for place, array in enumerate(codes):
        stacked[place, :, : lengths[place]] = array
    return torch.from_numpy(stacked), _to_tensor(lengths)
