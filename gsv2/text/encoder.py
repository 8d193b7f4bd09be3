"""Text encoders: a text becomes one vector a token.

`ByteEncoder` is the embedded default: any script, no vocabulary to ship, no weights to fetch,
and text may arrive as a stream. What another encoder must do is in the Protocol `TextEncoder`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

PAD = -1
"""Id of a padded text position."""
_NUM_BYTES = 256


class TextTokens(NamedTuple):
    """The tokens of C texts."""

    ids: Tensor
    """[C, S] int64, padded with `PAD`."""
    lengths: Tensor
    """[C] int64."""


class TextEncoder(Protocol):
    """Map from texts to vectors."""

    def tokenize(self, texts: Sequence[str]) -> TextTokens:
        """Return the tokens of texts, on the CPU."""

    def __call__(self, ids: Tensor) -> Tensor:
        """Return the vectors [C, S, D] of token ids [C, S]."""


class ByteEncoder(nn.Module):
    """Trained vector of each UTF-8 byte."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(_NUM_BYTES, dim)

    def tokenize(self, texts: Sequence[str]) -> TextTokens:
        """Return the UTF-8 bytes of texts.

        Args:
            texts: C texts, at least one, as `normalize_text` returns them.
        """
        rows = [torch.tensor(list(text.encode()), dtype=torch.int64) for text in texts]
        lengths = torch.tensor([len(row) for row in rows])
        return TextTokens(pad_sequence(rows, batch_first=True, padding_value=PAD), lengths)

    def forward(self, ids: Tensor) -> Tensor:
        """Return the vector of each byte.

        Args:
            ids: [C, S] int64; the vectors of padding are undefined.

        Returns:
            [C, S, D].
        """
        return self.embedding(ids.clamp(min=0))
