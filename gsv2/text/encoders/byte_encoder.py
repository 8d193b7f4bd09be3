"""UTF-8 bytes with a trained vector each: the text encoder without weights to fetch.

Any script, no vocabulary to ship, and text may arrive as a stream.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from gsv2.text.encoders.interface import TextTokens

_NUM_BYTES = 256


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
        return TextTokens.padded([list(text.encode()) for text in texts])

    def character_spans(self, text: str) -> list[tuple[int, int]]:
        """Return the characters from..to of `text` that each of its tokens is a part of."""
        return [
            (place, place + 1) for place, character in enumerate(text) for _ in character.encode()
        ]

    def forward(self, ids: Tensor) -> Tensor:
        """Return the vector of each byte.

        Args:
            ids: [C, S] int64; the vectors of padding are undefined.

        Returns:
            [C, S, D].
        """
        return self.embedding(ids.clamp(min=0))
