"""Random order that is a pure function of where it is drawn."""

from __future__ import annotations

import numpy as np


def draw_generator(seed: int, epoch: int, lane: int = -1, window: int = -1) -> np.random.Generator:
    """Return the generator of one place in the stream.

    Args:
        seed: of the run.
        epoch: of the lane.
        lane: -1 for what concerns all lanes.
        window: number inside the lane epoch; -1 for what concerns all windows.
    """
    return np.random.default_rng([seed, epoch, lane + 1, window + 1])


def draw_order(count: int, rng: np.random.Generator) -> np.ndarray:
    """Return a random permutation, [count] int64.

    From uniform numbers, which numpy keeps stable over its versions, unlike its shuffles: a run
    must resume to the same order under a newer numpy.
    """
    return np.argsort(rng.random(count), kind="stable")
