"""Exponential moving average of the weights of one trainable.

The average of many steps is better than the last (arXiv 2407.13218). Validation and `gsv2 export`
use it where a run has one. It is in fp32, and of what a rank holds of the weights: an average of
partitions is a partition of the average, so that under ZeRO-3 nothing is gathered but for a
checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from gsv2.training.engines.engine import Engine
from gsv2.training.engines.host_copies import HostCopy

EMA_SUFFIX = ".ema"
"""Suffix of the component's name: `gpt.ema.safetensors` lies beside `gpt.safetensors`."""
WARMUP = 10
"""Updates of warm-up: after n the decay is at most n / (WARMUP + n), so that the first, untrained
weights are soon forgotten."""


class WeightAverage:
    """The average of the parameters that train; buffers are those of the network itself."""

    def __init__(self, module: nn.Module, engine: Engine, decay: float) -> None:
        """Start from the weights as they are.

        Args:
            module: the bare network.
            decay: share of the average that an update keeps, once warmed up.
        """
        self.decay = decay
        self._engine = engine
        self._names = [name for name, p in module.named_parameters() if p.requires_grad]
        self._average: dict[str, Tensor] = {}
        self.restart()

    def restart(self) -> None:
        """Forget the past: the average is the weights as they are."""
        held = self._engine.local_weights()
        self._average = {name: held[name].detach().float().clone() for name in self._names}

    @torch.no_grad()
    def update(self, num_updates: int) -> None:
        """Move the average towards the weights.

        Args:
            num_updates: optimizer steps that the network has taken, this one included.
        """
        decay = min(self.decay, num_updates / (WARMUP + num_updates))
        held = self._engine.local_weights()
        weights = [held[name].detach().float() for name in self._names]
        torch._foreach_lerp_(list(self._average.values()), weights, 1 - decay)

    def swapped_in(self) -> AbstractContextManager[None]:
        """Put the average into the network inside, for passes without gradients."""
        return self._engine.swapped_weights(self._average)

    def merge(self, weights: Mapping[str, Tensor] | None, copy: HostCopy) -> dict[str, Tensor]:
        """Return the network's tensors with the averages in place of what is averaged. Collective.

        Args:
            weights: all tensors of the network by name, on the host; None on ranks that copy
                nothing, and get nothing.
            copy: copies one tensor to the host: `copy("ema/NAME", tensor)`.
        """
        merged = dict(weights or {})
        for name, part in self._average.items():
            whole = self._engine.to_whole(name, part)
            if weights is not None:
                merged[name] = copy(f"ema/{name}", whole)
        return merged

    def restore(self, weights: Mapping[str, Tensor]) -> None:
        """Take the averages that `merge` returned.

        Raises:
            KeyError: `weights` is of another network.
        """
        for name, average in self._average.items():
            average.copy_(self._engine.to_local(name, weights[name]))
