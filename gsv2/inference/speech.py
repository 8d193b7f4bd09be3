"""Speech: what a synthesizer makes of a text."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from torch import Tensor

from gsv2.inference.spoken_times import SpokenText, join_times


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


class Timeline:
    """Speech that grows piece by piece, with silence between the pieces.

    Args:
        pause_sec: silence between two pieces.
    """

    def __init__(self, pause_sec: float) -> None:
        self._pause_sec = pause_sec
        self._num_samples = 0
        self._pieces: list[Speech] = []

    def add(self, piece: Speech) -> Speech:
        """Return a piece with the silence before it, and with times from the whole's beginning."""
        if len(piece.wave) > 0:
            pause = round(self._pause_sec * piece.sample_rate) if self._num_samples else 0
            start_sec = (self._num_samples + pause) / piece.sample_rate
            silence = np.zeros(pause, dtype=np.float32)
            times = None if piece.times is None else piece.times.shifted(start_sec)
            piece = piece._replace(wave=np.concatenate([silence, piece.wave]), times=times)
        self._num_samples += len(piece.wave)
        self._pieces.append(piece)
        return piece

    def whole(self) -> Speech:
        """Return all pieces as one; without a sample in any, a pause."""
        spoken = [piece for piece in self._pieces if len(piece.wave) > 0]
        sample_rate = self._pieces[0].sample_rate
        silence = np.zeros(round(self._pause_sec * sample_rate), dtype=np.float32)
        times = [piece.times for piece in spoken if piece.times is not None]
        return Speech(
            np.concatenate([piece.wave for piece in spoken]) if spoken else silence,
            sample_rate,
            all(piece.ended for piece in self._pieces),
            join_times(times) if spoken and len(times) == len(spoken) else None,
            tuple(codes for piece in self._pieces for codes in piece.codes),
        )
