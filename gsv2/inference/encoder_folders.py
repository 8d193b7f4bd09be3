"""Folders of pretrained encoders, which a bundle names and does not hold."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class EncoderFolders(NamedTuple):
    """Where the weights of a bundle's pretrained encoders lie; None = where they lay in training.

    Their hashes are compared with those that the bundle knows.
    """

    speech: Path | None = None
    text: Path | None = None


AS_IN_TRAINING = EncoderFolders()
