"""Speech: what a synthesizer makes of a text, and how its pieces are joined."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from torch import Tensor

from gsv2.audio.errors import WaveError
from gsv2.audio.level import level_gain, measure_level
from gsv2.inference.spoken_times import SpokenText, join_times


class SpeechWarning(NamedTuple):
    """Something that was decided for a sentence, other than by the model or by who asked."""

    kind: Literal["cut", "retried", "empty", "untimed", "rate"]
    """`cut`: at its length limit; `retried`: drawn again, since its end was missing; `empty`:
    nothing was spoken; `untimed`: nobody knows when its words are spoken; `rate`: the model cannot
    change its speaking rate."""
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
    "retried": "was drawn again, since no end of speech was found",
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
    gain: float = 1.0
    """Factor that has brought the model's own wave to the loudness of corpora; 1 in a stream."""
    is_end: bool = True
    """False of a piece within a sentence, which has a wave alone: codes, times and warnings come
    with the sentence's last piece."""


class Timeline:
    """Speech that grows piece by piece, with silence between the sentences."""

    def __init__(self) -> None:
        self._num_samples = 0
        self._start_sec: float | None = None  # of the sentence whose end has not come
        self._pieces: list[Speech] = []

    def add(self, piece: Speech, pause_sec: float, end_sec: float = 0.0) -> Speech:
        """Return a piece with silence around it, and with times from the whole's beginning.

        Args:
            piece: speech of a sentence, or a part of it.
            pause_sec: silence before the sentence, unless it is empty.
            end_sec: silence after it.
        """
        rate = piece.sample_rate
        begins = self._start_sec is None and len(piece.wave) > 0
        pause = round(pause_sec * rate) if begins else 0
        if begins:
            self._start_sec = (self._num_samples + pause) / rate
        times = None if piece.times is None else piece.times.shifted(self._start_sec or 0.0)
        if piece.is_end:
            self._start_sec = None
        after = _silence(round(end_sec * rate) if piece.is_end else 0)
        wave = np.concatenate([_silence(pause), piece.wave, after])
        piece = piece._replace(wave=wave, times=times)
        self._num_samples += len(wave)
        self._pieces.append(piece)
        return piece

    def whole(self) -> Speech:
        """Return all pieces as one."""
        return join_pieces(self._pieces)


def level_speech(speech: Speech) -> Speech:
    """Return a speech at the loudness of corpora (EBU R128), its peak at most at `PEAK_LIMIT`.

    Loudness is integrated over all of it, gated as BS.1770-4 says, so that pauses do not count; of
    speech shorter than a block of 0.4 s it is that of the speech repeated. Silence stays silent.
    """
    try:
        gain = level_gain(measure_level(speech.wave, speech.sample_rate))
    except WaveError:
        return speech
    return speech._replace(wave=speech.wave * np.float32(gain), gain=gain)


def join_pieces(pieces: Sequence[Speech]) -> Speech:
    """Return the pieces of a text, at least one, as one speech.

    Args:
        pieces: what `Timeline.add` has returned, or a stream has yielded.
    """
    waves, rate = [piece.wave for piece in pieces], pieces[0].sample_rate
    if not any(map(len, waves)):
        waves = [_silence(round(_EMPTY_SEC * rate))]
    warnings = tuple(warning for piece in pieces for warning in piece.warnings)
    found = [piece.times for piece in pieces if piece.is_end and not _is_silent(piece)]
    times = [part for part in found if part is not None]
    return Speech(
        np.concatenate(waves),
        rate,
        all(piece.ended for piece in pieces),
        join_times(times) if times and len(times) == len(found) else None,
        tuple(codes for piece in pieces for codes in piece.codes),
        warnings,
    )


def _is_silent(piece: Speech) -> bool:
    return any(warning.kind == "empty" for warning in piece.warnings)


def _silence(num_samples: int) -> np.ndarray:
    return np.zeros(num_samples, dtype=np.float32)
