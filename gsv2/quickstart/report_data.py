"""Data of the quickstart's report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class CorpusRow:
    """One language of one split."""

    split: Literal["train", "heldout"]
    language: str
    clips: int
    minutes: float
    voices: int


@dataclass(frozen=True, kw_only=True)
class TrainedRun:
    """A training run; its curves are read from `metrics.jsonl`."""

    name: str
    folder: Path


@dataclass(frozen=True, kw_only=True)
class SpokenSentence:
    """A held-out sentence that was spoken in a held-out voice; waves [N] float32 at 32 kHz."""

    text: str
    language: str
    speaker: str
    recording: NDArray[np.float32]
    """The sentence in this voice, as recorded."""
    generated: NDArray[np.float32]
    heard: str
    """What the aligner reads in the generated sound."""
    ended: bool
    """Whether the GPT ended the sentence itself, or ran into the longest length allowed."""
    compute_sec: float
    """Time that the synthesis took."""


@dataclass(frozen=True, kw_only=True)
class KeyFigure:
    """A measured number with its target."""

    name: str
    value: float
    target: float | None = None
    """Value to reach; None = the number is reported without one."""
    better: Literal["lower", "higher"] = "lower"
    """Whether the value must be at most (`lower`) or at least (`higher`) the target."""
    unit: str = ""
    note: str = ""
    """A sentence about how it was measured."""

    @property
    def passed(self) -> bool | None:
        """Tell whether the target is met; None without one. NaN meets nothing."""
        if self.target is None:
            return None
        return self.value <= self.target if self.better == "lower" else self.value >= self.target


@dataclass(frozen=True, kw_only=True)
class StepTime:
    """Duration of one step of the quickstart."""

    name: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class FusionPoint:
    """Speech in a mixture of two voices: cosines of the voice encoder to their recordings."""

    weight: float
    """Weight of the second voice; the first has the rest."""
    like_first: float
    like_second: float


@dataclass(frozen=True, kw_only=True)
class SpeakingFigures:
    """How the bundle speaks; wall time of one sentence, with one candidate."""

    voices: tuple[str, str]
    """Held-out voices that are mixed."""
    fusion: Sequence[FusionPoint]
    audio_sec: float
    """Length of the sentence that is spoken."""
    whole_sec: float
    """Time until all of it is spoken at once."""
    first_sec: float
    """Time until the first sound of a stream."""
    first_byte_sec: float | None = None
    """Time until the server has sent its first byte; None = it was not measured."""
    answer_sec: float | None = None
    """Time until it has sent its last."""


@dataclass(frozen=True, kw_only=True)
class ReportData:
    """Everything in the report."""

    figures: Sequence[KeyFigure]
    corpus: Sequence[CorpusRow]
    runs: Sequence[TrainedRun]
    sentences: Sequence[SpokenSentence]
    steps: Sequence[StepTime]
    total_sec: float
    peak_memory_gib: float
    machine: Mapping[str, str]
    """Facts of the machine, versions included: name -> value."""
    notes: Sequence[str] = ()
    """What was not measured, and why."""
    num_voices: Mapping[str, int] = field(default_factory=dict)
    """`train`, `heldout` -> different voices over all languages, where known."""
    speaking: SpeakingFigures | None = None
    """None = no two held-out voices speak English."""
