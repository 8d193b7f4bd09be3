"""Cut of a long recording into clips, at the pauses between its speech."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from gsv2.audio.segment import Span


@dataclass(frozen=True, kw_only=True)
class CutConfig:
    """Where a recording is cut."""

    max_sec: float = 15.0
    """Longest clip; speech without a pause is cut where it is least likely speech."""
    min_sec: float = 1.0
    """Shorter clips are not made of what stands alone."""
    min_pause_sec: float = 0.3
    """A pause that may end a clip."""
    max_pause_sec: float = 1.0
    """A pause that always ends a clip."""
    keep_sec: float = 0.15
    """Silence that is kept on both sides of a clip, if there is that much."""
    threshold: float = 0.5
    """Likelihood above which a frame is speech; it ends .15 below."""

    def __post_init__(self) -> None:
        """Check the values that no type can."""
        if not 0 < self.min_sec < self.max_sec < math.inf:
            raise ValueError(
                f"min_sec and max_sec of a cut must be positive and rising, but are {self.min_sec} "
                f"and {self.max_sec}"
            )
        if not 0 < self.min_pause_sec <= self.max_pause_sec:
            raise ValueError(
                "min_pause_sec must be positive and at most max_pause_sec, but they are "
                f"{self.min_pause_sec} and {self.max_pause_sec}"
            )
        if not 0.15 < self.threshold < 1:
            raise ValueError(f"threshold of speech must be .15 to 1, but is {self.threshold}")


_HYSTERESIS = 0.15


def cut_speech(chances: np.ndarray, frame_sec: float, config: CutConfig) -> list[Span]:
    """Return the clips of a recording, in order and without overlap.

    Args:
        chances: [F] likelihood of speech in each frame.
        frame_sec: length of a frame, in seconds.
        config: where to cut.
    """
    longest = int(config.max_sec / frame_sec)
    joined: list[tuple[int, int]] = []
    for start, end in _runs(chances, config.threshold, config.min_pause_sec / frame_sec):
        for first, last in _short_enough(chances, start, end, longest):
            pause = (first - joined[-1][1]) * frame_sec if joined else math.inf
            fits = joined and last - joined[-1][0] <= longest
            if fits and pause < config.max_pause_sec:
                joined[-1] = (joined[-1][0], last)
            else:
                joined.append((first, last))
    total_sec = len(chances) * frame_sec
    spans: list[Span] = []
    for number, (start, end) in enumerate(joined):
        before = joined[number - 1][1] if number else None
        after = joined[number + 1][0] if number + 1 < len(joined) else None
        low = 0.0 if before is None else (before + start) / 2 * frame_sec
        high = total_sec if after is None else (end + after) / 2 * frame_sec
        span = Span(
            max(start * frame_sec - config.keep_sec, low),
            min(end * frame_sec + config.keep_sec, high),
        )
        if (end - start) * frame_sec >= config.min_sec:
            spans.append(span)
    return spans


def _runs(chances: np.ndarray, threshold: float, min_pause: float) -> list[tuple[int, int]]:
    """Return the frames of speech as [start, end), across pauses that are too short."""
    runs: list[tuple[int, int]] = []
    start: int | None = None
    last = 0  # the frame behind the last one of speech
    for frame, chance in enumerate(chances.tolist()):
        if chance >= threshold:
            start = frame if start is None else start
            last = frame + 1
        elif start is not None and chance >= threshold - _HYSTERESIS:
            last = frame + 1
        elif start is not None and frame + 1 - last >= min_pause:
            runs.append((start, last))
            start = None
    return runs if start is None else [*runs, (start, last)]


def _short_enough(chances: np.ndarray, start: int, end: int, longest: int) -> list[tuple[int, int]]:
    """Return a run as parts of at most `longest` frames, cut where speech is least likely."""
    if end - start <= longest:
        return [(start, end)]
    low, high = start + longest // 3, min(start + longest, end - longest // 3)
    cut = low + int(np.argmin(chances[low : max(high, low + 1)]))
    return [(start, cut), *_short_enough(chances, cut, end, longest)]
