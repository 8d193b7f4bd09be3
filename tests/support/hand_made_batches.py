"""Batches made by hand, for tests of stages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from gsv2.data.plan.window import LanePosition
from gsv2.data.stream.batch import Batch


def make_clips(sequence: Sequence[int], **fields: Any) -> Batch:
    """Return micro-batch 0 of one English speaker, its other fields as given.

    Args:
        sequence: number of each clip's sequence.
        fields: of the batch.
    """
    C = len(sequence)
    defaults = {
        "micro_batch": 0,
        "lane": 0,
        "epoch": 0,
        "position": LanePosition(lane=0, place=0, window=0, parts=()),
        "keys": tuple(f"clip{i}" for i in range(C)),
        "speakers": ("anna",) * C,
        "languages": ("en",) * C,
        "texts": ("text",) * C,
        "mixture_parts": (0,) * C,
        "epochs": (0,) * C,
        "sequence": torch.tensor(sequence, dtype=torch.int64),
    }
    return Batch(**(defaults | fields))


def no_clips(**fields: Any) -> Batch:
    """Return a batch whose clips could all not be read."""
    return make_clips((), weight=0.0, **fields)
