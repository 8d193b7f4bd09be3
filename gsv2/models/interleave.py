"""The interleaved sequence x1 y1 x2 y2 ... of one speaker's clips.

Each clip is `text_start, text tokens, audio_start, steps`. The output at `audio_start` predicts
the first step, the output at each step the next one. The end is predicted but never an input:
the next clip's `text_start` says as much.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

_STARTS = 2  # text_start and audio_start


class Interleaved(NamedTuple):
    """Where each token of C clips stands in Q sequences, padded on the right to L tokens.

    Positions count through the flat [Q * L]; what is padding in a grid has position Q * L.
    """

    mask: Tensor
    """[Q, L] bool, True = valid."""
    text_start: Tensor
    """[C] int64."""
    text: Tensor
    """[C, S] int64."""
    audio_start: Tensor
    """[C] int64."""
    steps: Tensor
    """[C, P] int64."""

    @property
    def predicts(self) -> Tensor:
        """[C, P + 1] int64: the positions whose outputs predict steps 0..P."""
        return torch.cat([self.audio_start[:, None], self.steps], dim=1)

    def place(self, text_start: Tensor, text: Tensor, audio_start: Tensor, steps: Tensor) -> Tensor:
        """Put vectors at their positions.

        Args:
            text_start: [D].
            text: [C, S, D].
            audio_start: [D].
            steps: [C, P, D].

        Returns:
            [Q, L, D], zero at padding.
        """
        Q, L = self.mask.shape
        C, D = self.text_start.shape[0], text.shape[-1]
        positions = torch.cat(
            [self.text_start, self.audio_start, self.text.flatten(), self.steps.flatten()]
        )
        starts = [text_start.expand(C, D), audio_start.expand(C, D)]
        vectors = torch.cat([*starts, text.flatten(0, 1), steps.flatten(0, 1)])
        rows = vectors.new_zeros(Q * L + 1, D)  # the last row takes the padding
        return rows.index_copy(0, positions, vectors)[:-1].view(Q, L, D)


def interleave(text_lengths: Tensor, step_lengths: Tensor, sequence: Tensor) -> Interleaved:
    """Lay out the tokens of clips.

    Args:
        text_lengths: [C] text tokens of each clip.
        step_lengths: [C] steps of each clip that are inputs.
        sequence: [C] sequence of each clip, ascending from 0.
    """
    lengths = _STARTS + text_lengths + step_lengths
    totals = lengths.new_zeros(int(sequence.max()) + 1).index_add(0, sequence, lengths)
    Q, L = totals.shape[0], int(totals.max())
    before_clip = lengths.cumsum(0) - lengths
    before_sequence = totals.cumsum(0) - totals
    start = before_clip - before_sequence[sequence] + sequence * L
    audio_start = start + 1 + text_lengths
    nowhere = Q * L
    return Interleaved(
        mask=torch.arange(L, device=totals.device) < totals[:, None],
        text_start=start,
        text=_grid(start + 1, text_lengths, nowhere),
        audio_start=audio_start,
        steps=_grid(audio_start + 1, step_lengths, nowhere),
    )


def _grid(first: Tensor, lengths: Tensor, nowhere: int) -> Tensor:
    """Return [C, max length] positions that count up from `first`."""
    offsets = torch.arange(int(lengths.max()), device=first.device)
    positions = first[:, None] + offsets
    return positions.masked_fill(offsets >= lengths[:, None], nowhere)
