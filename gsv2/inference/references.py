"""References: the recordings that give a voice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gsv2.audio.level import apply_level, measure_level
from gsv2.audio.wave import WaveError, load_wave
from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.text.normalize import TextError, normalize_text

MIN_REFERENCE_SEC = 0.5
"""Shorter recordings hold too little of a voice."""
MAX_REFERENCE_SEC = 30.0
MIN_WEIGHT = 1e-6
MAX_WEIGHT = 1e6
"""Weights beyond these vanish beside others, or make them vanish, in float32."""
SILENCE_LUFS = -60.0
"""A quieter recording holds no voice."""


class VoiceError(ValueError):
    """A recording that cannot give a voice; the message names it."""


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A recording of the voice to speak in."""

    wave: np.ndarray
    """[N] float32 at 32 kHz, loudness-normalised."""
    text: str | None = None
    """Transcript; without it the recording gives its style only, and no prompt."""
    weight: float = 1.0
    """Share in the fused voice, relative to the other references."""


def load_reference(path: str | Path, text: str | None = None, weight: float = 1.0) -> Reference:
    """Read a recording of any rate and number of channels.

    Raises:
        WaveError, VoiceError, TextError: as `read_reference`.
    """
    return make_reference(load_wave(path, SAMPLE_RATE), path, text, weight)


def read_reference(content: bytes, name: str, text: str | None = None) -> Reference:
    """Read the bytes of a recording that somebody sent; no more is decoded than may be used.

    Args:
        content: audio file of any kind.
        name: what messages call it.
        text: transcript.

    Raises:
        WaveError: it cannot be read as audio.
        VoiceError: it is too short, too long or silent, or the weight is negative, not finite or
            too small or large to be told beside others.
        TextError: a transcript without anything speakable.
    """
    wave = load_wave(content, SAMPLE_RATE, max_sec=2 * MAX_REFERENCE_SEC)
    return make_reference(wave, name, text)


def make_reference(
    wave: np.ndarray, path: str | Path, text: str | None = None, weight: float = 1.0
) -> Reference:
    """Return the reference of a recording [N] at 32 kHz, which is changed in place.

    Args:
        path: name of the recording in messages.

    Raises:
        VoiceError, TextError: as `read_reference`.
    """
    seconds = len(wave) / SAMPLE_RATE
    if not MIN_REFERENCE_SEC <= seconds <= MAX_REFERENCE_SEC:
        raise VoiceError(
            f"reference {path} must be {MIN_REFERENCE_SEC} to {MAX_REFERENCE_SEC} s long, "
            f"but is {seconds:.2f} s"
        )
    try:
        level = measure_level(wave, SAMPLE_RATE)
    except WaveError as error:
        raise VoiceError(f"reference {path} {error.reason}") from error
    if level.lufs < SILENCE_LUFS:
        raise VoiceError(f"reference {path} is silent: {level.lufs:.1f} LUFS")
    check_weight(path, weight)
    try:
        transcript = None if text is None else normalize_text(text)
    except TextError as error:
        raise TextError(f"the ref-text of {path}: {error}") from error
    return Reference(
        wave=apply_level(wave, level),
        text=transcript,
        weight=weight,
    )


def load_references(
    paths: Sequence[str | Path], texts: Sequence[str] = (), weights: Sequence[float] = ()
) -> list[Reference]:
    """Read several recordings of one voice, or of voices to be fused.

    Args:
        paths: audio files, at least one.
        texts: a transcript for each, or none at all.
        weights: a weight for each, or none at all for equal ones.

    Raises:
        VoiceError: the numbers do not match, all weights are 0, or as `load_reference`.
    """
    shares = check_shares(paths, weights)
    transcripts = match_texts(paths, texts)
    return [load_reference(*given) for given in zip(paths, transcripts, shares, strict=True)]


def match_texts(paths: Sequence[str | Path], texts: Sequence[str]) -> Sequence[str | None]:
    """Return a transcript, or None, for each recording.

    Raises:
        VoiceError: there are some, but not one for each.
    """
    if texts and len(texts) != len(paths):
        raise VoiceError(
            f"there must be one ref-text a recording ({len(paths)}) or none, "
            f"but there are {len(texts)}"
        )
    return texts or [None] * len(paths)


def check_shares(paths: Sequence[str | Path], weights: Sequence[float]) -> Sequence[float]:
    """Return the weight of each of several voices, 1 where none are given.

    Raises:
        VoiceError: no voice, another number of weights, or weights that cannot be meant.
    """
    if not paths:
        raise VoiceError("at least one reference is needed: a recording, or a voice file")
    if weights and len(weights) != len(paths):
        raise VoiceError(
            f"there must be one weight a reference ({len(paths)}) or none, "
            f"but there are {len(weights)}"
        )
    for path, weight in zip(paths, weights, strict=bool(weights)):
        check_weight(path, weight)
    if weights and not sum(weights) > 0:
        raise VoiceError(f"weights must have a positive sum, but are {list(weights)}")
    return weights or [1.0] * len(paths)


def check_weight(path: str | Path, weight: float) -> None:
    """Check the weight of a reference.

    Args:
        path: name of the reference in the message.

    Raises:
        VoiceError: negative, not finite, or too small or large to be told beside others.
    """
    if not weight >= 0:
        raise VoiceError(f"the weight of {path} must be at least 0, but is {weight}")
    if weight != 0 and not MIN_WEIGHT <= weight <= MAX_WEIGHT:
        raise VoiceError(
            f"the weight of {path} must be 0, or {MIN_WEIGHT} to {MAX_WEIGHT}, but is {weight}"
        )
