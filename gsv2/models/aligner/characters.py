"""Characters of any script as classes: the frequent ones have one each, all others share a few.

A character is a Unicode code point of the text in NFC. Which are frequent is counted once, in the
first texts of the training data. A rare character has one of the shared classes, by a hash, so that
a text of any script can be aligned; it is read as U+FFFD. (Bytes of UTF-8 as separate
predictions need no count, but were read with twice the errors at equal time.) CTC asks for the
classes of a batch's own characters only; what is left is one more column, since torch's gradient
of CTC holds for rows that sum to one.
"""

from __future__ import annotations

import unicodedata
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

BLANK = 0
"""Class, and column of `column_log_probs`, of no character."""
NUM_SHARED = 64
"""Classes that rare characters share."""
REPLACEMENT = "\ufffd"
"""What a shared class is read as."""
_REST_FLOOR = 1e-7
"""Least probability of all other characters: about fp32's resolution at 1."""


class EncodedTexts(NamedTuple):
    """Texts as classes, and as columns of `column_log_probs`."""

    classes: Tensor
    """[U] int64: the classes of all characters of the texts, rising."""
    targets: Tensor
    """[C, L] int64: column of each character of each text, 1..U; 0 at padding."""
    lengths: Tensor
    """[C] int64: characters of each text."""
    required: Tensor
    """[C] int64: frames that CTC needs, one a character and one between two of one class."""


class Vocabulary(nn.Module):
    """Which character has which class: 0 is blank, then come the frequent ones, then the shared.

    Args:
        size: most characters with a class of their own.
    """

    points: Tensor
    """[size] int64: code points of the frequent characters, -1 where there are fewer."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("points", torch.full((size,), -1))
        self._classes: dict[str, int] | None = None
        self.register_load_state_dict_post_hook(_forget)

    @property
    def num_classes(self) -> int:
        """Number of classes with blank and the shared ones."""
        return 1 + len(self.points) + NUM_SHARED

    def learn(self, counts: Mapping[str, int]) -> None:
        """Give the most frequent characters a class each; ties go to the lower code point."""
        frequent = sorted(counts, key=lambda c: (-counts[c], c))[: len(self.points)]
        self.points.fill_(-1)
        self.points[: len(frequent)] = torch.tensor([ord(c) for c in frequent], dtype=torch.int64)
        self._classes = None

    def encode(self, texts: Sequence[str]) -> EncodedTexts:
        """Return the classes of texts."""
        rows = [[self._class_of(c) for c in split_characters(text)] for text in texts]
        present = sorted({value for row in rows for value in row})
        column = {value: i + 1 for i, value in enumerate(present)}
        targets = torch.zeros(len(rows), max(map(len, rows), default=0), dtype=torch.int64)
        for target, row in zip(targets, rows, strict=True):
            target[: len(row)] = torch.tensor([column[value] for value in row], dtype=torch.int64)
        return EncodedTexts(
            torch.tensor(present, dtype=torch.int64),
            targets,
            torch.tensor([len(row) for row in rows], dtype=torch.int64),
            torch.tensor([required_frames(row) for row in rows], dtype=torch.int64),
        )

    def decode(self, classes: Sequence[int]) -> str:
        """Return the characters of classes; nothing for blank."""
        points = self.points.tolist()
        return "".join(_character(points, value) for value in classes if value != BLANK)

    def _class_of(self, character: str) -> int:
        if self._classes is None:
            known = (point for point in self.points.tolist() if point >= 0)
            self._classes = {chr(point): i + 1 for i, point in enumerate(known)}
        shared = 1 + len(self.points) + zlib.crc32(character.encode()) % NUM_SHARED
        return self._classes.get(character, shared)


def count_characters(texts: Sequence[str]) -> Counter[str]:
    """Return how often each character occurs in texts."""
    return Counter(character for text in texts for character in split_characters(text))


def split_characters(text: str) -> str:
    """Return the text in NFC, whose code points are its characters."""
    return unicodedata.normalize("NFC", text)


def required_frames(classes: Sequence[int]) -> int:
    """Return the frames that CTC needs for a text's classes."""
    return len(classes) + sum(a == b for a, b in pairwise(classes))


def column_log_probs(logits: Tensor, classes: Tensor) -> Tensor:
    """Return the log-probabilities of blank, of the classes asked for, and of all others.

    Args:
        logits: [..., classes].
        classes: [U] int64 without blank.

    Returns:
        [..., 1 + U + 1] fp32; a row sums to one.
    """
    scores = logits.float().log_softmax(dim=-1)
    known = scores.index_select(-1, torch.cat([classes.new_full((1,), BLANK), classes]))
    rest = (1 - known.exp().sum(dim=-1, keepdim=True)).clamp(min=_REST_FLOOR).log()
    return torch.cat([known, rest], dim=-1)


def _character(points: Sequence[int], value: int) -> str:
    is_own = value <= len(points) and points[value - 1] >= 0
    return chr(points[value - 1]) if is_own else REPLACEMENT


def _forget(vocabulary: nn.Module, _keys: object) -> None:
    """Let go of the classes of the code points that were there before a load."""
    assert isinstance(vocabulary, Vocabulary)
    vocabulary._classes = None
