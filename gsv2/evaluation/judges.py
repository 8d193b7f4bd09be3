"""Judges of speech that were not trained here: recognisers of words, encoders of voices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np


class Recognizer(Protocol):
    """Writes down what it hears; its figures are WER and CER."""

    @property
    def name(self) -> str:
        """Name in the figures: `wer/NAME`, `cer/NAME`."""

    @property
    def identity(self) -> str:
        """Name with all that its answers depend on; another one judges anew."""

    def supports(self, language: str) -> bool:
        """Tell whether it knows the language of a BCP 47 tag."""

    def transcribe(self, wave: np.ndarray, language: str) -> str:
        """Return the words of speech [N] float32 at 32 kHz; an answer depends on nothing else."""


class SpeakerEncoder(Protocol):
    """Makes a vector of a voice; its figures are similarity and own voice."""

    @property
    def name(self) -> str:
        """Name in the figures: `similarity/NAME`, `own_voice/NAME`."""

    @property
    def identity(self) -> str:
        """Name with all that its answers depend on; another one judges anew."""

    def embed(self, wave: np.ndarray) -> np.ndarray:
        """Return the vector [D] float32 of length 1 of speech [N] float32 at 32 kHz."""


class JudgeMissingError(ValueError):
    """A judge whose package is not installed; the message says what to install."""


@dataclass(frozen=True, kw_only=True)
class Judges:
    """The judges of an evaluation; the bundle's own aligner judges beside them."""

    recognizers: Sequence[Recognizer] = ()
    """Recognisers, each with a name of its own."""
    encoders: Sequence[SpeakerEncoder] = ()
    """Encoders of voices, each with a name of its own."""
    notes: Sequence[str] = ()
    """What the reader of the report should know of them, e.g. which are not installed."""

    def __post_init__(self) -> None:
        """Check that no two figures have one name."""
        for judges in (self.recognizers, self.encoders):
            names = [judge.name for judge in judges]
            if len(set(names)) != len(names):
                raise ValueError(f"judges must have names of their own, but they are {names}")
