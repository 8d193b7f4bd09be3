"""Doubtful clips: those that a trained model finds to be wrongly labelled, with its figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class DoubtfulClip:
    """A clip that should be looked at or left out; a line of `doubtful.jsonl`."""

    key: str
    reason: str
    """A fixed phrase, by which clips are counted."""
    measured: float
    threshold: float
    """The clip is doubtful because `measured` is not above it."""
    speaker: str
    language: str
    text: str
    other: str = ""
    """Key of a clip of the same speaker that is in another voice."""


@dataclass(frozen=True, kw_only=True)
class Doubts:
    """Doubtful clips of one kind."""

    clips: Sequence[DoubtfulClip]
    """Worst first."""
    notes: Sequence[str]
    """How well the model tells right from wrong here, and what it could not judge."""
