"""Speaker: what a server needs of a synthesizer, in terms of bytes and waves alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np


class SpokenWord(NamedTuple):
    """A word and when it is spoken."""

    word: str
    start: float
    """Seconds from the beginning of the speech."""
    end: float


class SpokenPiece(NamedTuple):
    """A piece of a speech."""

    wave: np.ndarray
    """[N] float32."""
    words: tuple[SpokenWord, ...] = ()
    """Words of the sentence that ends with it, where their times are known."""
    warnings: tuple[str, ...] = ()
    """What was decided for that sentence, one line each."""


class Speaker(Protocol):
    """Speaks texts in enrolled voices; called from one thread at a time."""

    @property
    def sample_rate(self) -> int:
        """Samples a second of what it speaks."""

    def enroll(self, content: bytes, name: str, text: str | None) -> Sequence[Any]:
        """Return what it makes of a recording of a voice.

        Args:
            content: audio file.
            name: what messages call it.
            text: transcript.

        Raises:
            ValueError: it cannot give a voice.
        """

    def mix(self, parts: Sequence[tuple[Sequence[Any], float]]) -> Sequence[Any]:
        """Return the voice that voices make together, each with its weight.

        Raises:
            ValueError: a weight cannot be meant.
        """

    def stream(
        self,
        text: str,
        references: Sequence[Any],
        *,
        speed: float,
        seed: int,
        check: Callable[[], None],
    ) -> Iterator[SpokenPiece]:
        """Yield the speech of a text piece by piece.

        Args:
            text: any language and script.
            references: what `enroll` has returned.
            speed: factor on the speaking rate.
            seed: same seed, same speech.
            check: called many times a second; what it raises ends the speech.

        Raises:
            ValueError: the text, the voice or the speed cannot be spoken.
        """
