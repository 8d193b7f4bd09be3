"""Other weights in a network for a while, e.g. their average for a validation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import Tensor, nn

from gsv2.training.engines.engine import EngineError


@contextmanager
def lent(module: nn.Module, weights: Mapping[str, Tensor]) -> Iterator[None]:
    """Point the parameters of a network to other tensors inside, for passes without gradients.

    Nothing is copied: optimizer and engine keep the memory that they know.

    Args:
        module: whose parameters are whole.
        weights: name of a parameter -> values for it; those without stay as they are.

    Raises:
        EngineError: values of another shape; nothing was lent.
    """
    parameters = {n: p for n, p in module.named_parameters() if n in weights}
    _check_shapes(parameters, weights)
    kept = {name: parameter.data for name, parameter in parameters.items()}
    try:
        for name, parameter in parameters.items():
            parameter.data = weights[name].to(parameter.dtype)
        yield
    finally:
        for name, parameter in parameters.items():
            parameter.data = kept[name]


@contextmanager
def lent_to_shards(
    module: nn.Module,
    weights: Mapping[str, Tensor],
    writable: Callable[[list[nn.Parameter]], AbstractContextManager[None]],
) -> Iterator[None]:
    """Do the same with parameters that are sharded over ranks. Collective.

    Args:
        module: whose parameters are whole inside `writable` only.
        weights: whole, the same on every rank.
        writable: makes parameters whole, and keeps what is written there.

    Raises:
        EngineError: values of another shape, which `copy_` might spread; nothing was lent.
    """
    parameters = {n: p for n, p in module.named_parameters() if n in weights}

    def write(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        with torch.no_grad(), writable(list(parameters.values())):
            _check_shapes(parameters, values)
            kept = {name: parameter.data.clone() for name, parameter in parameters.items()}
            for name, parameter in parameters.items():
                parameter.data.copy_(values[name])
        return kept

    kept = write(weights)
    try:
        yield
    finally:
        write(kept)


def _check_shapes(parameters: Mapping[str, nn.Parameter], weights: Mapping[str, Tensor]) -> None:
    for name, parameter in parameters.items():
        if weights[name].shape != parameter.shape:
            raise EngineError(
                f"what is lent to {name} must have the shape {list(parameter.shape)}, "
                f"but has {list(weights[name].shape)}"
            )
