"""Config of the frozen text encoder whose vectors a GPT reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gsv2.pretrained import PretrainedSource

TextEncoderName = Literal["bytes", "bge-m3"]
BGE_M3 = "bge-m3"
TOKENIZER = "tokenizer.json"
_PUBLISHED = "BAAI/bge-m3"


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
