"""Subwords of a text LM's tokenizer, with a trained vector each: `qwen2`.

The vectors may start from the word embeddings of the LM whose layers start the backbone
(`init.backbone`). A byte-level BPE never makes more subwords of a text than it has UTF-8 bytes,
which is what the plan counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from gsv2.text.encoders.interface import TextTokens


class SubwordEncoder(nn.Module):
    """Trained vector of each subword.

    Args:
        size: number of subwords.
        dim: model dimension.
    """

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(size, dim)
        self._tokenizer: Any = None

    def attach(self, tokenizer: Any) -> None:
        """Take the tokenizer, as `read_tokenizer` returns it."""
        self._tokenizer = tokenizer

    def share(self, other: SubwordEncoder) -> None:
        """Take the tokenizer that another has, if any."""
        self._tokenizer = other._tokenizer

    def tokenize(self, texts: Sequence[str]) -> TextTokens:
        """Return the subwords of texts.

        Args:
            texts: C texts, at least one, as `normalize_text` returns them.

        Raises:
            ValueError: no tokenizer is attached.
        """
        if self._tokenizer is None:
            raise ValueError("a GPT that reads subwords needs its tokenizer, but none is attached")
        found = self._tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return TextTokens.padded([encoding.ids for encoding in found])

    def forward(self, ids: Tensor) -> Tensor:
        """Return the vector of each subword.

        Args:
            ids: [C, S] int64; the vectors of padding are undefined.

        Returns:
            [C, S, D].
        """
        return self.embedding(ids.clamp(min=0))


def read_tokenizer(file: Path) -> Any:
    """Return the tokenizer of a `tokenizer.json`; what looks like a marker in a text is text.

    Raises:
        ValueError: the file is damaged.
    """
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # the binding raises its own kind, and no other
        raise ValueError(f"{file} is no tokenizer: {' '.join(str(error).split())}") from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokenizer.encode_special_tokens = True
    return tokenizer
