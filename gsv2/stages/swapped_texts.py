"""Swapped texts: a batch whose clips have each other's, to measure what the right one is worth."""

from __future__ import annotations

from dataclasses import replace

from gsv2.data.stream.batch import Batch


def with_swapped_texts(batch: Batch, distance: int = 1) -> Batch:
    """Give each clip another text of the batch, spread over its frames as its own was.

    The sequences leave their packed rows, which have no room for longer texts. Where a clip has
    no other text in the batch, its own stays.

    Args:
        batch: clips with their own texts.
        distance: which of the other texts, in their order after the clip: 1 is the next one.
    """
    places = [_other_place(batch.texts, place, distance) for place in range(batch.num_clips)]
    texts = tuple(batch.texts[place] for place in places)
    padded = replace(batch, texts=texts, packed_row=None, num_packed_rows=0, row_tokens=0)
    if batch.text_vectors is not None and batch.text_vector_lengths is not None:
        padded = replace(
            padded,
            text_vectors=batch.text_vectors[places],
            text_vector_lengths=batch.text_vector_lengths[places],
        )
    if batch.alignments is None:
        return padded
    alignments = batch.alignments.clone()
    for row, own, other in zip(alignments, batch.texts, texts, strict=True):
        spread = row * (len(other) - 1) // max(1, len(own) - 1)
        row.copy_(spread.where(row >= 0, row))
    return replace(padded, alignments=alignments)


def _other_place(texts: tuple[str, ...], place: int, distance: int) -> int:
    """Return where the other text of that distance stands first; `place` if there is none."""
    following = (*range(place + 1, len(texts)), *range(place))
    others: dict[str, int] = {}
    for other in following:
        if texts[other] != texts[place]:
            others.setdefault(texts[other], other)
    nearest = list(others.values())
    return nearest[distance - 1] if distance <= len(nearest) else place
