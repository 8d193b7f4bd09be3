"""Interleaved sequence x1 y1 x2 y2 ... of one speaker's clips.

Each clip is `text_start, text tokens, audio_start, steps`. The output at `audio_start` predicts
the first step, the output at each step the next one. The end is predicted but never an input:
the next clip's `text_start` says as much.

Sequences stand one in a row of the grid, as wide as the longest; or packed, several end to end in
rows of a fixed width, so that the grid never changes its shape (arXiv:2107.02027). A packed
sequence must not see its neighbours: `Interleaved.documents` tells them apart.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gsv2.nn.documents import Documents

NUM_STARTS = 2
"""Tokens of a clip beside its text and steps: text_start and audio_start."""


class PackedRows(NamedTuple):
    """Packed rows that hold the sequences of C clips."""

    row: Tensor
    """[C] int64: row of each clip's sequence, ascending from 0; a row may stay empty."""
    num_rows: int
    """Number of rows, R."""
    row_tokens: int
    """Number of tokens of a row, L."""


class Interleaved(NamedTuple):
    """Places of the tokens of C clips in R rows of L tokens, padded on the right.

    Places count through the flat [R * L]; what is padding in a grid has place R * L.
    """

    mask: Tensor
    """[R, L] bool, True = valid."""
    sequence: Tensor
    """[C] int64: sequence of each clip, ascending."""
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
        """[C, P + 1] int64: the places whose outputs predict steps 0..P."""
        return torch.cat([self.audio_start[:, None], self.steps], dim=1)

    @property
    def documents(self) -> Documents:
        """The sequences in the flat [R * L] tokens; the padding of each row is one more."""
        R, L = self.mask.shape
        starts = torch.arange(R + 1, device=self.mask.device) * L
        bounds = torch.cat([self._first_places(), starts, starts[:-1] + self.mask.sum(dim=1)])
        return Documents(bounds.sort().values.int(), self.mask.flatten(), L)

    @property
    def positions(self) -> Tensor:
        """[R, L] int64: place of each token in its sequence, from 0; 0 at padding."""
        places = torch.arange(self.mask.numel(), device=self.mask.device).view_as(self.mask)
        return (places - self._first_places()[self._clips()]).masked_fill(~self.mask, 0)

    def _first_places(self) -> Tensor:
        """[C] int64: where the sequence of each clip begins."""
        is_first = self.sequence.diff(prepend=self.sequence[:1] - 1) != 0
        return self.text_start.where(is_first, 0).cummax(0).values

    def _clips(self) -> Tensor:
        """[R, L] int64: the clip that each token belongs to; at padding any."""
        places = torch.arange(self.mask.numel(), device=self.mask.device).view_as(self.mask)
        return (torch.bucketize(places, self.text_start, right=True) - 1).clamp(min=0)

    def place(self, text_start: Tensor, text: Tensor, audio_start: Tensor, steps: Tensor) -> Tensor:
        """Put vectors at their places.

        Args:
            text_start: [D] vector before each text.
            text: [C, S, D].
            audio_start: [D], or [C, D].
            steps: [C, P, D].

        Returns:
            [R, L, D], zero at padding.
        """
        R, L = self.mask.shape
        C, D = self.text_start.shape[0], text.shape[-1]
        places = torch.cat(
            [self.text_start, self.audio_start, self.text.flatten(), self.steps.flatten()]
        )
        starts = [text_start.expand(C, D), audio_start.expand(C, D)]
        vectors = torch.cat([*starts, text.flatten(0, 1), steps.flatten(0, 1)])
        grid = vectors.new_zeros(R * L + 1, D)  # the last place takes the padding
        return grid.index_copy(0, places, vectors)[:-1].view(R, L, D)


def interleave(
    text_lengths: Tensor, step_lengths: Tensor, sequence: Tensor, rows: PackedRows | None = None
) -> Interleaved:
    """Lay out the tokens of clips.

    Args:
        text_lengths: [C] text tokens of each clip; C is at least 1.
        step_lengths: [C] steps of each clip that are inputs.
        sequence: [C] sequence of each clip, ascending from 0.
        rows: where the sequences are packed; None = each has a row, as long as the longest.

    Raises:
        ValueError: the sequences of a row need more tokens than it has.
    """
    lengths = NUM_STARTS + text_lengths + step_lengths
    row = sequence if rows is None else rows.row
    totals = lengths.new_zeros(len(row) if rows is None else rows.num_rows)
    totals = totals.index_add(0, row, lengths)  # [R], or up to C where sequences have a row each
    most = [sequence[-1] + 1, totals.max(), text_lengths.max(), step_lengths.max()]
    R, L, longest_text, longest_steps = torch.stack(most).tolist()  # the one wait for the device
    if rows is not None:
        _check_fit(L, rows.row_tokens)
        R, L = rows.num_rows, rows.row_tokens
    totals = totals[:R]
    tokens_before = (lengths.cumsum(0) - lengths) - (totals.cumsum(0) - totals)[row]  # in its row
    start = tokens_before + row * L
    audio_start = start + 1 + text_lengths
    nowhere = R * L
    return Interleaved(
        mask=torch.arange(L, device=totals.device) < totals[:, None],
        sequence=sequence,
        text_start=start,
        text=_grid(start + 1, text_lengths, longest_text, nowhere),
        audio_start=audio_start,
        steps=_grid(audio_start + 1, step_lengths, longest_steps, nowhere),
    )


def _check_fit(longest: int, row_tokens: int) -> None:
    if longest > row_tokens:
        raise ValueError(
            f"the sequences packed into a row must fit its data.row_tokens ({row_tokens}), but "
            f"need {longest}: texts or codes are longer than the index says; raise "
            "data.clip_overhead_tokens, which the plan counts for every clip, or index anew"
        )


def _grid(first: Tensor, lengths: Tensor, width: int, nowhere: int) -> Tensor:
    """Return [C, width] places that count up from `first`."""
    offsets = torch.arange(width, device=first.device)
    return (first[:, None] + offsets).masked_fill(offsets >= lengths[:, None], nowhere)
