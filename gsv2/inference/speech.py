"""Speech: what a synthesizer makes of a text, and how its pieces are joined."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from torch import Tensor

from gsv2.inference.spoken_times import SpokenText, join_times


class SpeechWarning(NamedTuple):
    """Something that was decided for a sentence, other than by the model or by who asked."""

    kind: Literal["cut", "empty", "untimed", "rate"]
    """`cut`: at its length limit; `empty`: nothing was spoken; `untimed`: nobody knows when its
    words are spoken; `rate`: the model cannot change its speaking rate."""
    sentence: int
    """Place among the sentences of the text, from 0."""
    text: str
    """The sentence."""

    def __str__(self) -> str:
        """Return one line."""
        return f"sentence {self.sentence + 1} {_MEANINGS[self.kind]}: {self.text[:60]!r}"


_EMPTY_SEC = 0.2
"""Silence that stands for speech of which nothing was spoken: a file must hold something."""
_MEANINGS = {
    "cut": "was cut at its length limit, since no end of speech was found",
    "empty": "was not spoken, since its end came first",
    "untimed": "has no word times, since it cannot be aligned with its codes",
    "rate": "is spoken at rate 1, since the model reads by attention",
}


class Speech(NamedTuple):
    """A spoken text."""

    wave: np.ndarray
    """[N] float32 in -1..1."""
    sample_rate: int
    """Samples a second of `wave`."""
    ended: bool
    """The GPT ended every sentence itself; False = a cap on its length did."""
    times: SpokenText | None = None
    """When characters and words are spoken; None without a pointer and without an aligner."""
    codes: tuple[Tensor, ...] = ()
    """Codes [K, T] that were generated for each sentence of the text, in order; T may be 0."""
    warnings: tuple[SpeechWarning, ...] = ()
    """What else was decided, sentence by sentence."""


class Timeline:
    """Speech that grows piece by piece, with silence between the pieces."""

    def __init__(self) -> None:
        self._num_samples = 0
        self._pieces: list[Speech] = []
        self._spoken_times: list[SpokenText | None] = []

    def add(self, piece: Speech, pause_sec: float, end_sec: float = 0.0) -> Speech:
        """Return a piece with silence around it, and with times from the whole's beginning.

        Args:
            piece: speech of a sentence.
            pause_sec: silence before it, unless it is empty.
            end_sec: silence after it.
        """
        rate = piece.sample_rate
        pause = round(pause_sec * rate) if len(piece.wave) else 0
        start_sec = (self._num_samples + pause) / rate
        times = None if piece.times is None else piece.times.shifted(start_sec)
        parts = [_silence(pause), piece.wave, _silence(round(end_sec * rate))]
        piece = piece._replace(wave=np.concatenate(parts), times=times)
        if len(parts[1]):
            self._spoken_times.append(times)
        self._num_samples += len(piece.wave)
        self._pieces.append(piece)
        return piece

    def whole(self) -> Speech:
        """Return all pieces as one."""
        waves = [piece.wave for piece in self._pieces]
        if not any(map(len, waves)):
            waves = [_silence(round(_EMPTY_SEC * self._pieces[0].sample_rate))]
        times = [part for part in self._spoken_times if part is not None]
        are_known = times and len(times) == len(self._spoken_times)
        return Speech(
            np.concatenate(waves),
            self._pieces[0].sample_rate,
            all(piece.ended for piece in self._pieces),
            join_times(times) if are_known else None,
            tuple(codes for piece in self._pieces for codes in piece.codes),
            tuple(warning for piece in self._pieces for warning in piece.warnings),
        )


def _silence(num_samples: int) -> np.ndarray:
    return np.zeros(num_samples, dtype=np.float32)
