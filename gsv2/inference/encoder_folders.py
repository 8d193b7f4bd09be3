"""Folders of pretrained encoders, which a bundle names and does not hold, but for a tokenizer."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path
from typing import NamedTuple

from gsv2.text.encoders.config import TOKENIZER


class EncoderFolders(NamedTuple):
    """Where the weights of a bundle's pretrained encoders lie; None = where they lay in training.

    Their hashes are compared with those that the bundle knows.
    """

    speech: Path | None = None
    text: Path | None = None

    def or_of_bundle(self, bundle: Path, files: Container[str]) -> EncoderFolders:
        """Return these, with the tokenizer that a bundle holds among its files if none is named."""
        has_own = self.text is None and TOKENIZER in files
        return self._replace(text=bundle) if has_own else self


AS_IN_TRAINING = EncoderFolders()
