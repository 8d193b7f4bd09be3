"""Same-speaker sequences: a clip is spoken after up to `max_clips - 1` others of its voice.

Each clip stands in exactly one sequence, once, so it is never its own prompt.
"""

from __future__ import annotations

import numpy as np

from gsv2.data.bucketing import Budget
from gsv2.data.order import draw_order

_LENGTH_JITTER = 0.25  # how far a clip may move among the lengths of its voice


def make_sequences(
    rows: np.ndarray,
    voices: np.ndarray,
    seconds: np.ndarray,
    lengths: np.ndarray,
    *,
    max_clips: int,
    max_seconds: float,
    budget: Budget,
    rng: np.random.Generator,
) -> list[tuple[int, ...]]:
    """Group the clips of a window into sequences of N clips of one voice, N from 1..`max_clips`.

    A sequence ends early where the voice has no more clips, or where the next one would exceed
    `max_seconds` or the budget; a clip that exceeds them alone stands alone. Under a budget of
    frames the clips of a sequence are of similar length, under one of tokens of any.

    Args:
        rows: [n] int64 clips.
        voices: [n] int64, equal for clips that may prompt each other.
        seconds: [n] durations.
        lengths: [n] in units of the budget.
        max_clips: most clips of a sequence.
        max_seconds: most audio of a sequence.
        budget: that a sequence must fit.
        rng: of the window.

    Returns:
        Sequences of rows, in random order.
    """
    order = _draw_voice_order(voices, lengths, budget, rng)
    wanted = (1 + rng.random(len(rows)) * max_clips).astype(np.int64).tolist()
    clips = zip(
        *(column[order].tolist() for column in (rows, voices, seconds, lengths)), strict=True
    )
    sequences: list[list[int]] = []
    current_voice, total, parts = None, 0.0, list[int]()
    for row, voice, duration, length in clips:
        continues = (
            voice == current_voice
            and len(parts) < wanted[len(sequences) - 1]
            and total + duration <= max_seconds
            and budget.fits([*parts, length])
        )
        if not continues:
            sequences.append([])
            current_voice, total, parts = voice, 0.0, []
        sequences[-1].append(row)
        parts.append(length)
        total += duration
    return [tuple(sequences[number]) for number in draw_order(len(sequences), rng)]


def _draw_voice_order(
    voices: np.ndarray, lengths: np.ndarray, budget: Budget, rng: np.random.Generator
) -> np.ndarray:
    """Return voice after voice; inside one at random, or by about the length, [n] int64."""
    priority = rng.random(len(voices))
    if budget.unit == "frames":  # clips of a sequence are padded to each other
        priority = lengths * (1.0 + _LENGTH_JITTER * priority)
    return np.lexsort((priority, voices))
