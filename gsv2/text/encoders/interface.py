"""Interface of text encoders: what a GPT asks of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

PAD = -1
"""Id of a padded text position."""


class TextTokens(NamedTuple):
    """The tokens of C texts."""

    ids: Tensor
    """[C, S] int64, padded with `PAD`; or vectors of a frozen encoder, [C, S, D], padded with 0."""
    lengths: Tensor
    """[C] int64."""

    @classmethod
    def padded(cls, ids: Sequence[Sequence[int]]) -> TextTokens:
        """Return the ids of each text, at least one, as tokens."""
        rows = [torch.tensor(of_text, dtype=torch.int64) for of_text in ids]
        lengths = torch.tensor([len(row) for row in rows])
        return cls(pad_sequence(rows, batch_first=True, padding_value=PAD), lengths)


class TextEncoder(Protocol):
    """Map from texts to vectors."""

    def tokenize(self, texts: Sequence[str]) -> TextTokens:
        """Return the tokens of texts, on the CPU."""

    def __call__(self, ids: Tensor) -> Tensor:
        """Return the vectors [C, S, D] of what `tokenize` gives."""
