"""Exponential moving average of the weights of one trainable.

The average of many steps is better than the last (arXiv 2407.13218). Validation and `gsv2 export`
use it where a run has one. It is whole, in fp32 and equal on every rank; under ZeRO-3 too, where
each update gathers the parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from gsv2.training.checkpoints.host_copies import Hold
from gsv2.training.engines.engine import Engine

EMA_SUFFIX = ".ema"
"""Of the component's name: `gpt.ema.safetensors` lies beside `gpt.safetensors`."""
WARMUP = 10
"""After n updates the decay is at most n / (WARMUP + n), so that the first, untrained weights
are soon forgotten."""


class WeightAverage:
    """The average of the parameters that train; buffers are those of the network itself."""

    def __init__(self, module: nn.Module, engine: Engine, decay: float) -> None:
        """Start from the weights as they are. Collective.

        Args:
            module: the bare network.
            engine: that runs it.
            decay: share of the average that an update keeps, once warmed up.
        """
        self.decay = decay
        self._engine = engine
        self._parameters = {n: p for n, p in module.named_parameters() if p.requires_grad}
        self._average: dict[str, Tensor] = {}
        self.restart()

    def restart(self) -> None:
        """Forget the past: the average is the weights as they are. Collective."""
        with self._engine.gathered():
            self._average = {
                name: parameter.detach().float().clone()
                for name, parameter in self._parameters.items()
            }

    @torch.no_grad()
    def update(self, num_updates: int) -> None:
        """Move the average towards the weights. Collective.

        Args:
            num_updates: optimizer steps that the network has taken, this one included.
        """
        decay = min(self.decay, num_updates / (WARMUP + num_updates))
        with self._engine.gathered():
            weights = [parameter.detach().float() for parameter in self._parameters.values()]
            torch._foreach_lerp_(list(self._average.values()), weights, 1 - decay)

    def lent(self) -> AbstractContextManager[None]:
        """Put the average into the network inside, for passes without gradients. Collective."""
        return self._engine.lent(self._average)

    def merge(self, weights: Mapping[str, Tensor], hold: Hold) -> dict[str, Tensor]:
        """Return the network's tensors with the averages in place of what is averaged.

        Args:
            weights: all tensors of the network by name, on the host.
            hold: copies one tensor to the host: `hold("ema/NAME", tensor)`.
        """
        return {
            name: hold(f"ema/{name}", self._average[name]) if name in self._average else tensor
            for name, tensor in weights.items()
        }

    def restore(self, weights: Mapping[str, Tensor]) -> None:
        """Take the averages that `merge` returned.

        Raises:
            KeyError: `weights` is of another network.
        """
        for name, average in self._average.items():
            average.copy_(weights[name])
