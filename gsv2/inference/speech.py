"""Speech: what a synthesizer makes of a text."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from torch import Tensor

from gsv2.inference.spoken_times import SpokenText


class Speech(NamedTuple):
    """A spoken text."""

    wave: np.ndarray
    """[N] float32 in -1..1."""
    sample_rate: int
    """Samples a second of `wave`."""
    ended: bool
    """The GPT ended every sentence itself; False = a cap on its length did."""
    times: SpokenText | None = None
    """When characters and words are spoken; None without a pointer and without an aligner."""
    codes: tuple[Tensor, ...] = ()
    """Codes [K, T] that were generated for each sentence of the text, in order; T may be 0."""
