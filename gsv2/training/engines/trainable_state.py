"""What a trainable knows, in one form for every engine and any number of ranks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True)
class TrainableState:
    """Full tensors on the host, by the names of the bare network.

    However an engine shards its network over ranks, this is what it captures and restores, so
    that a checkpoint of one engine and world size is one of them all.
    """

    weights: Mapping[str, Tensor]
    """Name in the network's `state_dict` -> parameter or buffer, as stored."""
    optimizer: Mapping[str, Tensor]
    """`KEY/PARAMETER` -> tensor of the optimizer, e.g. `exp_avg/head.weight` of the parameter's
    shape and `step/head.weight` []; empty before the first step."""
    average: Mapping[str, Tensor] = field(default_factory=dict)
    """What `weights` has, with the moving averages in place of what is averaged; empty without
    (`gsv2.training.ema`)."""
