"""Sentence to be spoken and judged: its text, the voice to take, and perhaps its recording."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from gsv2.inference.references import Reference

UNKNOWN_LANGUAGE = "und"
"""Tag of a language that nobody named (BCP 47)."""
_HASH_LENGTH = 16


@dataclass(frozen=True, kw_only=True)
class Sentence:
    """A sentence of an evaluation."""

    key: str
    """Name, different for every sentence of an evaluation."""
    text: str
    """What is to be said, in any language and script."""
    speaker: str
    """Label of the voice; sentences of one voice share it."""
    prompts: tuple[Reference, ...]
    """Recordings whose voice is taken; at least one."""
    language: str = UNKNOWN_LANGUAGE
    """BCP 47 tag; figures are given by language, and a recogniser is told it."""
    recording: np.ndarray | None = None
    """[N] float32 at 32 kHz, at the level of the prompts: a person says `text` in this voice."""
    further: tuple[np.ndarray, ...] = ()
    """More recordings of the voice, [N] each as `recording`: nothing of them is spoken, but the
    more a judge has heard of a voice, the better it knows it."""

    def __post_init__(self) -> None:
        """Check what the types cannot say."""
        if not self.key or not self.prompts:
            raise ValueError(f"sentence {self.key!r} must have a key and at least one prompt")


def wave_hash(wave: np.ndarray) -> str:
    """Return a name for the samples of a recording [N]: the same recording is known again."""
    return hashlib.sha256(wave.astype(np.float32).tobytes()).hexdigest()[:_HASH_LENGTH]
