"""Monotonic alignment search: how many frames each token of a text lasts.

The likeliest path by which frames pass through all tokens in order, found by dynamic programming
(Glow-TTS, arXiv 2005.11129, algorithm 1). Compiled by numba where it is installed; numpy, frame by
frame, where it is not. Both give the same durations. A text with more tokens than frames has no
such path: it is spread evenly over its frames, and the caller can tell it by the lengths.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from torch import Tensor

from gsv2.nn.compiled_loops import compile_loops


def search_durations(scores: Tensor, num_tokens: Tensor, num_frames: Tensor) -> Tensor:
    """Return the durations of the likeliest paths.

    Args:
        scores: [B, T, S] log-likelihood of each frame under each token.
        num_tokens: [B] int64, at least 1 each.
        num_frames: [B] int64.

    Returns:
        [B, S] int64 frames of each token, on the device of `scores`: 1 at least, and their sum is
        `num_frames`; 0 at padding. Where there are more tokens than frames, 0 or 1.
    """
    if scores.is_meta:  # shapes alone, where costs are counted
        return scores.new_zeros(scores.shape[0], scores.shape[2], dtype=torch.int64)
    table = scores.detach().float().cpu().numpy()
    durations = np.zeros((table.shape[0], table.shape[2]), dtype=np.int64)
    lengths = zip(num_tokens.tolist(), num_frames.tolist(), strict=True)
    for clip, (tokens, frames) in enumerate(lengths):
        durations[clip, :tokens] = durations_of_clip(table[clip, :frames, :tokens])
    return torch.from_numpy(durations).to(scores.device)


def durations_of_clip(scores: np.ndarray) -> np.ndarray:
    """Return the frames [S] of each token of one clip, see `search_durations`.

    Args:
        scores: [T, S].
    """
    T, S = scores.shape
    if S > T:
        return np.bincount(np.arange(T) * S // max(T, 1), minlength=S)
    # One type and one layout of memory: numba compiles for each.
    return _path_finder()(np.ascontiguousarray(scores, dtype=np.float32))


def _walk(scores: np.ndarray) -> np.ndarray:
    """Return the frames [S] of each token, S <= T; plain loops, made for numba."""
    T, S = scores.shape
    has_moved = np.zeros((T, S), dtype=np.bool_)  # since the frame before
    before, best = np.full(S, -np.inf), np.full(S, -np.inf)
    best[0] = scores[0, 0]
    for t in range(1, T):
        before, best = best, before
        best[0] = before[0] + scores[t, 0]
        first, last = max(1, S - T + t), min(t, S - 1)  # tokens that a whole path can reach
        # Views that start at 0, two rows and no branch: the loop becomes vector code.
        there, here, moved = before[first - 1 : last], before[first:], has_moved[t, first:]
        reached, score = best[first:], scores[t, first:]
        for i in range(last + 1 - first):
            moved[i] = there[i] > here[i]
            reached[i] = (there[i] if there[i] > here[i] else here[i]) + score[i]
    durations = np.zeros(S, dtype=np.int64)
    s = S - 1
    for t in range(T - 1, -1, -1):
        durations[s] += 1
        if s > 0 and (has_moved[t, s] or s == t):
            s -= 1
    return durations


def walk_by_numpy(scores: np.ndarray) -> np.ndarray:
    """Return the same as the compiled loops, a frame at a time.

    Args:
        scores: [T, S] with S <= T.
    """
    T, S = scores.shape
    scores = scores.astype(np.float64)
    has_moved = np.empty((T, S), dtype=bool)
    # Totals of two frames in turn, behind a token from which no path comes: nothing is allocated.
    before, best = np.full(S + 1, -np.inf), np.full(S + 1, -np.inf)
    before[1] = scores[0, 0]
    for score, moved in zip(scores[1:], has_moved[1:], strict=True):
        np.greater(before[:-1], before[1:], out=moved)
        np.maximum(before[:-1], before[1:], out=best[1:])
        np.add(best[1:], score, out=best[1:])
        before, best = best, before
    by_token = np.ascontiguousarray(has_moved.T)
    durations = np.zeros(S, dtype=np.int64)
    end = T
    for s in range(S - 1, 0, -1):
        # The token begins where its path moved last, or in the frame of its own number.
        begin = max(by_token[s].tobytes().rfind(True, s, end), s)
        durations[s] = end - begin
        end = begin
    durations[0] = end
    return durations


@cache
def _path_finder() -> Callable[[np.ndarray], np.ndarray]:
    """Return the compiled loops, made once in a process that aligns: others import no numba."""
    return compile_loops(_walk, walk_by_numpy, "(float32[:,::1],)")
