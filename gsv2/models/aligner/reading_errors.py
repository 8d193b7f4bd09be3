"""Character errors of what was read."""

from __future__ import annotations

from collections.abc import Sequence

from torchaudio.functional import edit_distance


def count_errors(texts: Sequence[str], readings: Sequence[str]) -> int:
    """Return the least insertions, deletions and substitutions from readings to texts."""
    return sum(edit_distance(text, read) for text, read in zip(texts, readings, strict=True))
