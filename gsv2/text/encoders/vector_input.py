"""Vectors of a frozen text encoder as the input of a GPT."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from gsv2.text.encoders.interface import TextTokens
from gsv2.text.encoders.xlm_roberta import XlmRoberta


class VectorInput(nn.Module):
    """Projection of text vectors to the model dimension; nothing where the sizes are equal.

    Training reads vectors from a corpus. For other texts a frozen encoder is attached, which is
    no part of the network: not of its weights, its device or its mode.

    Args:
        text_dim: dimension of the vectors.
        dim: model dimension.
    """

    def __init__(self, text_dim: int, dim: int) -> None:
        super().__init__()
        self.projection = nn.Identity() if text_dim == dim else nn.Linear(text_dim, dim)
        self._attached: tuple[XlmRoberta, ...] = ()

    def attach(self, encoder: XlmRoberta) -> None:
        """Let `tokenize` encode texts."""
        self._attached = (encoder,)  # in a tuple, where torch does not see a submodule

    def share(self, other: VectorInput) -> None:
        """Attach the encoder that another has, if any."""
        self._attached = other._attached

    def tokenize(self, texts: Sequence[str]) -> TextTokens:
        """Return the vectors of texts, on the CPU.

        Args:
            texts: C texts, at least one, as `normalize_text` returns them.

        Raises:
            ValueError: no encoder is attached.
        """
        rows = [row.cpu() for row in self._encoder.encode(texts)]
        return TextTokens(
            pad_sequence(rows, batch_first=True), torch.tensor([len(row) for row in rows])
        )

    def character_spans(self, text: str) -> list[tuple[int, int]]:
        """Return the characters from..to of `text` that each of its tokens is a part of.

        Raises:
            ValueError: no encoder is attached.
        """
        return self._encoder.character_spans(text)

    @property
    def _encoder(self) -> XlmRoberta:
        if not self._attached:
            raise ValueError(
                "a model that reads text vectors needs its frozen text encoder for texts that no "
                "corpus holds, but none is attached"
            )
        return self._attached[0]

    def forward(self, ids: Tensor) -> Tensor:
        """Return the input vectors.

        Args:
            ids: [C, S, text_dim] vectors, float32 or float16.

        Returns:
            [C, S, dim].
        """
        return self.projection(ids.float())
