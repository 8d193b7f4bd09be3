"""Config of text encoders: the frozen one whose vectors a GPT reads, and the tokenizer."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gsv2.pretrained import PretrainedSource

TextEncoderName = Literal["bytes", "bge-m3", "qwen2"]
BGE_M3 = "bge-m3"
QWEN2 = "qwen2"
TOKENIZER = "tokenizer.json"
_PUBLISHED = "BAAI/bge-m3"
_HASH_LENGTH = 16
"""Hexadecimal digits of a hash."""


@dataclass(frozen=True, kw_only=True)
class TextVectorsConfig:
    """A frozen text encoder; training takes it from the corpora of text vectors."""

    path: str | None = None
    """Folder or hub id of its weights, for texts that no corpus holds, as those of synthesis;
    empty = where the vectors of the corpora came from."""
    dim: int | None = None
    """Dimension of a vector; leave it empty: the corpora say it."""
    sha256: str | None = None
    """Hash of the encoder; leave it empty: the corpora say it."""

    @property
    def weights(self) -> PretrainedSource:
        """Where its weights are looked for."""
        return PretrainedSource(
            name=BGE_M3,
            source=self.path or _PUBLISHED,
            published=_PUBLISHED,
            files=(TOKENIZER,),
            key="model.gpt.text_vectors.path",
        )


@dataclass(frozen=True, kw_only=True)
class TokenizerConfig:
    """Tokenizer of a text LM, whose subwords have trained vectors."""

    path: str | None = None
    """Folder with `tokenizer.json`, or the file; empty = where `init.backbone` is."""
    size: int | None = None
    """Number of subwords; leave it empty: the file says it."""
    sha256: str | None = None
    """Hash of the file; leave it empty: the file says it."""

    def find(self, folder: Path | None = None) -> Path:
        """Return the file.

        Args:
            folder: folder, or file, in place of `path`.

        Raises:
            ValueError: it is not there, or not the one that the config knows.
        """
        place = folder or Path(self.path or "")
        file = place / TOKENIZER if place.is_dir() else place
        if not file.is_file():
            raise ValueError(
                f"model.gpt.tokenizer.path must be a folder with {TOKENIZER}, or the file, for "
                f"model.gpt.text_encoder={QWEN2}, but is {self.path if folder is None else folder}"
            )
        if self.sha256 not in (None, found := tokenizer_hash(file)):
            raise ValueError(
                f"{file} must be the tokenizer of hash {self.sha256}, but is that of {found}"
            )
        return file


def tokenizer_hash(file: Path) -> str:
    """Return the hash of a tokenizer's file."""
    return hashlib.sha256(file.read_bytes()).hexdigest()[:_HASH_LENGTH]
