"""Held-out reading: what a validation heard of a GPT's speech, and whether that is reading."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

CHAR_ERRORS = "char_errors"
RECORDED = "char_errors_recorded"
ENDED = "ended"
LEAK = "leak"
"""Figures of a validation, see `gsv2.stages.gpt_listening`."""
_VALIDATION = "validation/"
_MOST_LOST = 0.25
"""Share of what the aligner reads in recordings that a model which reads may lose."""
_DEAF = 0.7
"""Character errors on recordings from which an aligner cannot judge anybody."""


@dataclass(frozen=True, kw_only=True)
class HeldOutReading:
    """Held-out sentences that a GPT has spoken freely, as the aligner reads them."""

    char_errors: float
    """Character errors of the generated codes, over the characters of the texts."""
    char_errors_recorded: float
    """The same of the recordings' codes."""
    ended: float
    """Share of the sentences that the GPT ended by itself."""

    def __post_init__(self) -> None:
        """Check that all figures are such shares."""
        for name in (CHAR_ERRORS, RECORDED, ENDED):
            if not getattr(self, name) >= 0:  # nor NaN
                raise ValueError(f"{name} must be at least 0, but is {getattr(self, name)}")

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> HeldOutReading | None:
        """Return the figures of a record of `metrics.jsonl`; None if it has none."""
        names = (CHAR_ERRORS, RECORDED, ENDED)
        found = [record.get(f"{_VALIDATION}{name}") for name in names]
        values = [v for v in found if isinstance(v, int | float) and math.isfinite(v)]
        return cls(**dict(zip(names, values, strict=True))) if len(values) == len(names) else None

    @property
    def reads(self) -> bool | None:
        """Whether the GPT reads; None if the aligner hears too little to tell."""
        if self.char_errors_recorded >= _DEAF:
            return None
        lost = (self.char_errors - self.char_errors_recorded) / (1 - self.char_errors_recorded)
        return lost <= _MOST_LOST

    def __str__(self) -> str:
        """Return a plain line, whose subject is the model."""
        spoken, recorded = _share(self.char_errors), _share(self.char_errors_recorded)
        if self.reads is None:
            return (
                f"may read or not: the aligner makes {recorded} character errors on recordings "
                f"({spoken} on speech), too many to judge by"
            )
        ended = "" if self.ended >= 1 else f"; {_share(self.ended)} of the sentences end"
        if self.reads:
            what = f"reads held-out text with {spoken} character errors"
        else:
            what = f"does not read: {spoken} character errors on held-out text"
        return f"{what}, recordings {recorded}{ended}"


def _share(value: float) -> str:
    """Return `.12`, or `1.05`."""
    return f"{value:.2f}".removeprefix("0")
