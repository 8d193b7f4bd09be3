"""Viterbi: the likeliest CTC path of a known text, and so the character spoken at each frame.

The path runs through 2L + 1 states, `blank c1 blank c2 ... cL blank`; a frame stays, moves on by
one, or passes over a blank between two different characters. Compiled by numba where it is
installed; numpy, frame by frame, where it is not. Both give the same path.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from gsv2.nn.compiled_loops import compile_loops

_NEVER = -np.inf


class AlignmentError(ValueError):
    """A text that cannot be aligned with its frames."""


class Alignment(NamedTuple):
    """A path through a text."""

    characters: np.ndarray
    """[T] uint16: character of the text at each frame, rising by 0 or 1 from 0 to L - 1. Of
    the blanks between two characters three quarters count with the first one: CTC's peaks come
    early, and so words begin nearest to where they are (`benchmarks/tables/alignment.py`)."""
    score: float
    """Mean log-probability of the path's frames."""


def align_characters(log_probs: np.ndarray, targets: np.ndarray, blank: int = 0) -> Alignment:
    """Return the likeliest path of a text.

    Args:
        log_probs: [T, columns] of one clip.
        targets: [L] column of each character.
        blank: column of blank.

    Raises:
        AlignmentError: no or too many characters for the frames, or a column that is none.
    """
    _check(log_probs, targets, blank)
    columns = np.full(2 * len(targets) + 1, blank)
    columns[1::2] = targets
    can_pass = np.zeros(len(columns), dtype=bool)  # the blank before this state
    can_pass[3::2] = columns[3::2] != columns[1:-2:2]
    emissions = np.ascontiguousarray(log_probs[:, columns], dtype=np.float64)  # [T, S]
    states, total = _path_finder()(emissions, can_pass)
    return Alignment(_share_blanks(states, len(targets)), float(total) / len(log_probs))


def _share_blanks(states: np.ndarray, num_characters: int) -> np.ndarray:
    """Return the character [T] of each state of a path, see `Alignment`."""
    characters = np.minimum(states // 2, num_characters - 1)
    begins = np.flatnonzero(np.diff(states, prepend=-1) != 0)
    for start, stop in zip(begins, [*begins[1:], len(states)], strict=True):
        state = int(states[start])
        if state % 2 == 0 and 0 < state < 2 * num_characters:
            before = (3 * (stop - start) + 2) // 4
            characters[start : start + before] -= 1
    return characters.astype(np.uint16)


def _check(log_probs: np.ndarray, targets: np.ndarray, blank: int) -> None:
    """Check that a path exists."""
    T, num_columns = log_probs.shape
    required = len(targets) + int((targets[1:] == targets[:-1]).sum())
    most = np.iinfo(np.uint16).max + 1
    if not 1 <= len(targets) <= most:
        raise AlignmentError(f"text must have 1 to {most} characters, but has {len(targets)}")
    if required > T:
        raise AlignmentError(
            f"text of {len(targets)} characters needs at least {required} frames, but has {T}"
        )
    if targets.min() < 0 or targets.max() >= num_columns or (targets == blank).any():
        raise AlignmentError(
            f"targets must be columns 0 to {num_columns - 1} other than blank ({blank}), but are "
            f"{targets.min()} to {targets.max()}"
        )
    if np.isnan(log_probs).any():
        raise AlignmentError("log_probs must be numbers, but some are NaN")


def _walk(emissions: np.ndarray, can_pass: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the state [T] at each frame and the path's total; plain loops, made for numba."""
    T, S = emissions.shape
    steps = np.zeros((T, S), dtype=np.int8)  # states moved on since the frame before
    scores = np.full(S, -np.inf)
    scores[0], scores[1] = emissions[0, 0], emissions[0, 1]
    for t in range(1, T):
        for s in range(S - 1, -1, -1):  # downwards, so that lower states are still the old ones
            best, step = scores[s], 0
            if s >= 1 and scores[s - 1] > best:
                best, step = scores[s - 1], 1
            if can_pass[s] and scores[s - 2] > best:
                best, step = scores[s - 2], 2
            scores[s], steps[t, s] = best + emissions[t, s], step
    states = np.empty(T, dtype=np.int64)
    state = S - 1 if scores[S - 1] > scores[S - 2] else S - 2
    total = scores[state]
    for t in range(T - 1, -1, -1):
        states[t] = state
        state -= steps[t, state]
    return states, total


def walk_by_numpy(emissions: np.ndarray, can_pass: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the same as the compiled loops, a frame at a time.

    Args:
        emissions: [T, S] log-probability of each state.
        can_pass: [S] whether the state before may be passed over.
    """
    T, S = emissions.shape
    steps = np.zeros((T, S), dtype=np.int8)
    moved = np.full((3, S), _NEVER)  # scores of the frame before, by how far a path moves on
    moved[0, :2] = emissions[0, :2]
    for t in range(1, T):
        moved[1, 1:] = moved[0, :-1]
        moved[2, 2:] = np.where(can_pass[2:], moved[0, :-2], _NEVER)
        steps[t] = moved.argmax(axis=0)
        moved[0] = moved.max(axis=0) + emissions[t]
    scores = moved[0]
    states = np.empty(T, dtype=np.int64)
    state = S - 1 if scores[S - 1] > scores[S - 2] else S - 2
    total = scores[state]
    for t in range(T - 1, -1, -1):
        states[t] = state
        state -= int(steps[t, state])
    return states, total


@cache
def _path_finder() -> Callable[[np.ndarray, np.ndarray], Any]:
    """Return the compiled loops, made once in a process that aligns: others import no numba."""
    return compile_loops(_walk, walk_by_numpy, "(float64[:,::1], boolean[::1])")
