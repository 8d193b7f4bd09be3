"""Swapped texts: a batch whose clips have each other's, to measure what the right one is worth."""

from __future__ import annotations

from dataclasses import replace

from gsv2.data.stream.batch import Batch


def with_swapped_texts(batch: Batch) -> Batch:
    """Give each clip the next different text of the batch, spread over its frames as its own was.

    The sequences leave their packed rows, which have no room for longer texts. Where all texts
    are the same, they stay.
    """
    texts = tuple(_other_text(batch.texts, place) for place in range(batch.num_clips))
    padded = replace(batch, texts=texts, packed_row=None, num_packed_rows=0, row_tokens=0)
    if batch.alignments is None:
        return padded
    alignments = batch.alignments.clone()
    for row, own, other in zip(alignments, batch.texts, texts, strict=True):
        spread = row * (len(other) - 1) // max(1, len(own) - 1)
        row.copy_(spread.where(row >= 0, row))
    return replace(padded, alignments=alignments)


def _other_text(texts: tuple[str, ...], place: int) -> str:
    following = (*texts[place + 1 :], *texts[:place])
    return next((text for text in following if text != texts[place]), texts[place])
