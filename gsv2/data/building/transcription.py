"""Transcription of recordings that have no text, by a recogniser that is passed in."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

import numpy as np

from gsv2.audio.speech_cut import CutConfig
from gsv2.data.building.offered import LeftOutError, Recording


class Transcriber(Protocol):
    """Writes down what it hears; `gsv2.evaluation.judges.Recognizer` is one."""

    @property
    def identity(self) -> str:
        """Name with all that its answers depend on."""

    def supports(self, language: str) -> bool:
        """Tell whether it knows the language of a BCP 47 tag."""

    def transcribe(self, wave: np.ndarray, language: str) -> str:
        """Return the words of speech [N] float32 at 32 kHz."""


class TranscriberSource(Protocol):
    """What makes a recogniser in each process that needs it; it is pickled, and hashable."""

    def load(self) -> Transcriber:
        """Return the recogniser.

        Raises:
            ValueError: it is not there.
        """

    def __hash__(self) -> int:
        """Return what equal ones share: a process loads each once."""


@dataclass(frozen=True, kw_only=True)
class Transcription:
    """How recordings without a text become clips with one."""

    source: TranscriberSource
    """Makes the recogniser."""
    cut: CutConfig = field(default_factory=CutConfig)
    """How recordings are cut at their pauses, before their clips are written down."""

    @property
    def identity(self) -> str:
        """All that the texts depend on."""
        return f"{_loaded(self.source).identity} {self.cut}"

    def write_down(self, recording: Recording, wave: np.ndarray) -> str:
        """Return what is said.

        Args:
            recording: names the language.
            wave: [N] float32 at 32 kHz.

        Raises:
            LeftOutError: another language than the recogniser knows, or nothing was heard.
        """
        transcriber = _loaded(self.source)
        if not transcriber.supports(recording.language):
            raise LeftOutError(
                "language is not known to the recogniser",
                f"{recording.language}, by {transcriber.identity}",
            )
        if not (text := transcriber.transcribe(wave, recording.language).strip()):
            raise LeftOutError("nothing was recognised", f"by {transcriber.identity}")
        return text


@lru_cache(maxsize=1)
def _loaded(source: TranscriberSource) -> Transcriber:
    return source.load()
