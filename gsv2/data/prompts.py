"""Same-speaker sequences: a clip is spoken after up to `max_clips - 1` others of its voice.

Each clip stands in exactly one sequence, once, so it is never its own prompt.
"""

from __future__ import annotations

import numpy as np

from gsv2.data.bucketing import Budget
from gsv2.data.order import draw_order
from gsv2.data.schema import DataConfig


def make_sequences(
    voices: np.ndarray,
    seconds: np.ndarray,
    lengths: np.ndarray,
    *,
    config: DataConfig,
    budget: Budget,
    rng: np.random.Generator,
) -> list[tuple[int, ...]]:
    """Group the clips of a window into sequences of N clips of one voice, N from 1..`max_clips`.

    A sequence ends early where the voice has no more clips, or where the next one would exceed
    `max_seconds` or the budget; a clip that exceeds them alone stands alone. Under a budget of
    frames the clips of a sequence are of similar length, under one of tokens of any.

    Args:
        voices: [n] int64, equal for clips that may prompt each other.
        seconds: [n] durations.
        lengths: [n] in units of the budget.
        config: `max_clips`, `max_seconds`, `max_length_ratio`, `prompt_dropout`.
        budget: that a sequence must fit.
        rng: of the window.

    Returns:
        Sequences of clip numbers 0..n-1, in random order.
    """
    by_voice = _draw_voice_order(voices, lengths, config, budget, rng)
    sequences = _cut(by_voice, voices, seconds, lengths, config, budget, rng)
    if config.prompt_dropout:
        drop = (rng.random(len(sequences)) < config.prompt_dropout).tolist()
        sequences = [
            part
            for sequence, is_dropped in zip(sequences, drop, strict=True)
            for part in ([[clip] for clip in sequence] if is_dropped else [sequence])
        ]
    return [tuple(sequences[number]) for number in draw_order(len(sequences), rng)]


def _draw_voice_order(
    voices: np.ndarray,
    lengths: np.ndarray,
    config: DataConfig,
    budget: Budget,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return voice after voice; inside one at random, or by about the length, [n] int64."""
    priority = rng.random(len(voices))
    if budget.unit == "frames":  # clips of a sequence are padded to each other
        jitter = (config.max_length_ratio - 1.0) / 2.0  # neighbours change from epoch to epoch
        priority = lengths * (1.0 + jitter * priority)
    return np.lexsort((priority, voices))


def _cut(
    order: np.ndarray,
    voices: np.ndarray,
    seconds: np.ndarray,
    lengths: np.ndarray,
    config: DataConfig,
    budget: Budget,
    rng: np.random.Generator,
) -> list[list[int]]:
    """Cut the clips in `order` into sequences."""
    wanted = (1 + rng.random(len(order)) * config.max_clips).astype(np.int64).tolist()
    ratio = config.max_length_ratio if budget.unit == "frames" else float("inf")
    columns = (column[order].tolist() for column in (voices, seconds, lengths))
    sequences: list[list[int]] = []
    current_voice, total, parts = None, 0.0, list[int]()
    for clip, voice, duration, length in zip(order.tolist(), *columns, strict=True):
        continues = (
            voice == current_voice
            and len(parts) < wanted[len(sequences) - 1]
            and total + duration <= config.max_seconds
            and length <= ratio * parts[0]
            and budget.fits([*parts, length])
        )
        if not continues:
            sequences.append([])
            current_voice, total, parts = voice, 0.0, []
        sequences[-1].append(clip)
        parts.append(length)
        total += duration
    return sequences
