"""Characters of any script, predicted as the bytes of their UTF-8.

A character is a Unicode code point of the text in NFC. Its UTF-8 has up to four bytes; one output
head predicts each position, the first also the CTC's blank and the others also that the character
has ended. A character's probability is the product over its positions, so that no table of
characters is kept and every script can be predicted. CTC asks for the columns of a batch's own
characters only; what is left is one more column, since torch's gradient of CTC holds for rows
that sum to one.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

NUM_POSITIONS = 4
"""Most bytes of a character in UTF-8."""
NUM_CLASSES = 257
"""Number of classes of each position: a byte, or one more."""
BLANK = 256
"""Class of the first position: no character."""
ENDED = 256
"""Class of the other positions: the character has fewer bytes."""
BLANK_COLUMN = 0
"""Column of blank in `column_log_probs`."""
NO_CHARACTER = -1
"""Stands for blank in the place of a code point."""
_LEADS = ((0x00, 0x80), (0xC2, 0xE0), (0xE0, 0xF0), (0xF0, 0xF5))
"""First bytes of characters with 1, 2, 3 and 4 bytes: from, to."""
_CONTINUATION = slice(0x80, 0xC0)
"""Bytes after the first."""
_LEAD_BITS = (0x7F, 0x1F, 0x0F, 0x07)
_CONTINUATION_BITS = 0x3F
_REST_FLOOR = 1e-7
"""Least probability of all other characters: about fp32's resolution at 1."""


class LocalVocabulary(NamedTuple):
    """The characters of some texts."""

    positions: Tensor
    """[U, 4] int64: class of each position of each character, in the order of code points."""
    targets: Tensor
    """[C, L] int64: column of each character of each text, 1..U; 0 at padding."""
    lengths: Tensor
    """[C] int64: characters of each text."""
    required: Tensor
    """[C] int64: frames that CTC needs, one a character and one between two equal ones."""


def split_characters(text: str) -> str:
    """Return the text in NFC, whose code points are its characters."""
    return unicodedata.normalize("NFC", text)


def required_frames(text: str) -> int:
    """Return the frames that CTC needs for a text in NFC."""
    return len(text) + sum(a == b for a, b in pairwise(text))


def local_vocabulary(texts: Sequence[str]) -> LocalVocabulary:
    """Return the characters of texts and where they stand in each."""
    texts = [split_characters(text) for text in texts]
    characters = sorted(set("".join(texts)))
    column = {character: i + 1 for i, character in enumerate(characters)}
    lengths = torch.tensor([len(text) for text in texts], dtype=torch.int64)
    targets = torch.zeros(len(texts), max(map(len, texts), default=0), dtype=torch.int64)
    for row, text in zip(targets, texts, strict=True):
        row[: len(text)] = torch.tensor([column[c] for c in text], dtype=torch.int64)
    positions = torch.full((len(characters), NUM_POSITIONS), ENDED)
    for row, character in zip(positions, characters, strict=True):
        encoded = character.encode()
        row[: len(encoded)] = torch.tensor(list(encoded))
    required = torch.tensor([required_frames(text) for text in texts], dtype=torch.int64)
    return LocalVocabulary(positions, targets, lengths, required)


def column_log_probs(logits: Tensor, positions: Tensor) -> Tensor:
    """Return the log-probabilities of blank, of the characters asked for, and of all others.

    Args:
        logits: [..., 4, 257].
        positions: [U, 4], see `LocalVocabulary`.

    Returns:
        [..., 1 + U + 1] fp32; a row sums to one.
    """
    scores = logits.float().log_softmax(dim=-1)
    blank = scores[..., 0, BLANK].unsqueeze(-1)
    by_position = [scores[..., k, :].index_select(-1, column) for k, column in _columns(positions)]
    known = torch.cat([blank, torch.stack(by_position).sum(dim=0)], dim=-1)
    rest = (1 - known.exp().sum(dim=-1, keepdim=True)).clamp(min=_REST_FLOOR).log()
    return torch.cat([known, rest], dim=-1)


def _columns(positions: Tensor) -> list[tuple[int, Tensor]]:
    return list(enumerate(positions.unbind(dim=1)))


def most_likely_characters(logits: Tensor) -> Tensor:
    """Return the likeliest character of each frame among all that UTF-8 can write.

    Args:
        logits: [..., 4, 257].

    Returns:
        [...] int64: code point, or `NO_CHARACTER` for blank.
    """
    scores = logits.float().log_softmax(dim=-1)
    first, ended = scores[..., 0, :], scores[..., 1:, ENDED]  # [..., 257], [..., 3]
    best, continuation = scores[..., 1:, _CONTINUATION].max(dim=-1)  # [..., 3] each
    totals, points = [first[..., BLANK]], [torch.full_like(first[..., 0], -1, dtype=torch.int64)]
    for more, (start, stop) in enumerate(_LEADS):  # more: bytes after the first
        lead_score, lead = first[..., start:stop].max(dim=-1)
        totals.append(lead_score + best[..., :more].sum(-1) + ended[..., more:].sum(-1))
        point = (lead + start) & _LEAD_BITS[more]
        for k in range(more):
            point = (point << 6) | (continuation[..., k] & _CONTINUATION_BITS)
        points.append(point)
    choice = torch.stack(totals).argmax(dim=0, keepdim=True)
    return torch.stack(points).gather(0, choice).squeeze(0)
