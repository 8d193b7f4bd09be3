"""Same-speaker sequences: a clip is spoken after up to `max_clips - 1` others of its voice.

Each clip stands in exactly one sequence, once, so it is never its own prompt.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gsv2.data.config import DataConfig
from gsv2.data.plan.bucketing import Budget
from gsv2.data.plan.order import draw_order


class Sequences(NamedTuple):
    """Clips of a window in Q sequences, one after the other."""

    clips: np.ndarray
    """[n] int64 numbers of clips, in prompt order inside a sequence."""
    sizes: np.ndarray
    """[Q] int64 clips of each sequence."""

    @property
    def starts(self) -> np.ndarray:
        """[Q] int64 place in `clips` of the first of each sequence."""
        return np.cumsum(self.sizes) - self.sizes


def make_sequences(
    voices: np.ndarray,
    seconds: np.ndarray,
    lengths: np.ndarray,
    *,
    config: DataConfig,
    budget: Budget,
    rng: np.random.Generator,
) -> Sequences:
    """Group the clips of a window into sequences of N clips of one voice, N from 1..`max_clips`.

    A sequence ends early where the voice has no more clips, or where the next one would exceed
    `max_seconds` or the budget; a clip that exceeds them alone stands alone. Under a budget of
    frames the clips of a sequence are of similar length, under one of tokens of any.

    Args:
        voices: [n] int64, equal for clips that may prompt each other.
        seconds: [n] durations.
        lengths: [n] lengths in units of the budget.
        config: `max_clips`, `max_seconds`, `max_length_ratio`, `prompt_dropout`.
        budget: budget that a sequence must fit.
        rng: generator of the window's choices.

    Returns:
        Sequences of clip numbers 0..n-1, in random order.
    """
    by_voice = _draw_voice_order(voices, lengths, config, budget, rng)
    ordered = (column[by_voice] for column in (voices, seconds, lengths))
    starts = _cut(*ordered, config=config, budget=budget, rng=rng)
    sizes = np.diff(starts, append=len(by_voice))
    if config.prompt_dropout:
        is_dropped = rng.random(len(sizes)) < config.prompt_dropout
        pieces = np.where(is_dropped, sizes, 1)  # sequences that each becomes
        sizes = np.repeat(np.where(is_dropped, 1, sizes), pieces)
    order = draw_order(len(sizes), rng)
    shuffled = sizes[order]
    offsets = np.cumsum(sizes) - sizes
    steps = np.arange(len(by_voice)) - np.repeat(np.cumsum(shuffled) - shuffled, shuffled)
    return Sequences(by_voice[np.repeat(offsets[order], shuffled) + steps], shuffled)


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
    voices: np.ndarray,
    seconds: np.ndarray,
    lengths: np.ndarray,
    *,
    config: DataConfig,
    budget: Budget,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return the places where sequences begin, [Q] int64, among clips that lie voice by voice.

    A loop over every clip that is ever planned: written for speed.
    """
    wanted = (1 + rng.random(len(voices)) * config.max_clips).astype(np.int64).tolist()
    in_frames = budget.unit == "frames"
    ratio = config.max_length_ratio if in_frames else float("inf")
    max_seconds, limit = config.max_seconds, budget.limit
    columns = (column.tolist() for column in (voices, seconds, lengths))
    starts: list[int] = []
    current_voice, count, num_clips, total, longest, units = None, 0, 0, 0.0, 0, 0
    first = 0.0  # length of the sequence's first clip
    for place, (voice, duration, length) in enumerate(zip(*columns, strict=True)):
        total += duration
        units += length
        count += 1
        longest = max(longest, length)
        if (
            voice != current_voice
            or count > num_clips
            or total > max_seconds
            or length > ratio * first
            or (count * longest if in_frames else units) > limit
        ):
            starts.append(place)
            num_clips = wanted[len(starts) - 1]
            current_voice, count, total, longest, units = voice, 1, duration, length, length
            first = length
    return np.array(starts, dtype=np.int64)
