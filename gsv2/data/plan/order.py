"""Random order that is a pure function of where it is drawn."""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Draw(IntEnum):
    """What is drawn; a part of the seed, so that no two draws share their numbers."""

    ASSIGNMENT = 0
    """Shard ranges to lanes, by (mixture part, epoch)."""
    RANGES = 1
    """Order of a lane's shard ranges, by (mixture part, epoch, lane)."""
    WINDOW = 2
    """All choices inside a window, by (lane, window)."""


def draw_generator(seed: int, draw: Draw, *place: int) -> np.random.Generator:
    """Return the generator of one place in the stream.

    Args:
        seed: seed of the run's shuffling.
        draw: what the numbers are for.
        *place: numbers that `draw` names.
    """
    return np.random.default_rng([seed, draw, *place])


def draw_order(count: int, rng: np.random.Generator) -> np.ndarray:
    """Return a random permutation, [count] int64.

    From uniform numbers, which numpy keeps stable over its versions, unlike its shuffles: a run
    must resume to the same order under a newer numpy.
    """
    return np.argsort(rng.random(count), kind="stable")
