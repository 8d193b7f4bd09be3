"""Abilities that a stage may have beside those of every stage (`gsv2.training.stage`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from gsv2.data.stream.batch import BadClip


@runtime_checkable
class RefusingStage(Protocol):
    """A stage that may be unable to use a clip that could be read."""

    def take_refused(self) -> Sequence[tuple[int, BadClip]]:
        """Return (micro-batch, clip) of such clips since the last call."""


@runtime_checkable
class VectorReadingStage(Protocol):
    """A stage that may read vectors of texts, of a frozen encoder."""

    @property
    def text_dim(self) -> int | None:
        """Dimension of the vectors; None if it reads the texts themselves."""
