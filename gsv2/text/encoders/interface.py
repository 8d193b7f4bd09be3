"""Interface of text encoders: what a GPT asks of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from torch import Tensor

PAD = -1
"""Id of a padded text position."""


class TextTokens(NamedTuple):
    """The tokens of C texts."""

    ids: Tensor
    """[C, S] int64, padded with `PAD`; or vectors of a frozen encoder, [C, S, D], padded with 0."""
    lengths: Tensor
    """[C] int64."""


class TextEncoder(Protocol):
    """Map from texts to vectors."""

    def tokenize(self, texts: Sequence[str]) -> TextTokens:
        """Return the tokens of texts, on the CPU."""

    def __call__(self, ids: Tensor) -> Tensor:
        """Return the vectors [C, S, D] of what `tokenize` gives."""
