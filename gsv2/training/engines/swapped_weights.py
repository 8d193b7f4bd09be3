"""Swapped weights: others in a network for a while, e.g. their average for a validation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from gsv2.training.engines.engine import EngineError


@contextmanager
def swapped_weights(held: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> Iterator[None]:
    """Point the parameters of a network to other tensors inside, for passes without gradients.

    Nothing is copied: optimizer and engine keep the memory that they know.

    Args:
        held: name of a parameter -> what this rank holds of it.
        weights: name of a parameter -> values for that; those without stay as they are.

    Raises:
        EngineError: values of another shape; nothing was swapped.
    """
    _check_shapes(held, weights)
    kept = {name: held[name].data for name in weights}
    try:
        for name, value in weights.items():
            held[name].data = value.to(held[name].dtype)
        yield
    finally:
        for name, value in kept.items():
            held[name].data = value


@contextmanager
def swapped_partitions(
    parameters: Mapping[str, nn.Parameter], weights: Mapping[str, Tensor]
) -> Iterator[None]:
    """Do the same with parameters that ZeRO-3 has partitioned, of which each pass makes whole ones.

    Args:
        parameters: parameters of the network by name.
        weights: name of a parameter -> values for this rank's partition.
    """
    swapped = [parameters[name] for name in weights]
    _drop_whole(swapped)
    try:
        with swapped_weights({name: local_partition(p) for name, p in parameters.items()}, weights):
            yield
    finally:
        _drop_whole(swapped)


def local_partition(parameter: Any) -> Tensor:
    """Return what this rank holds of a parameter that ZeRO-3 has partitioned, and marked."""
    return parameter.ds_tensor


def _drop_whole(parameters: Iterable[Any]) -> None:
    """Let the next pass make parameters whole again, also small ones, which stay so.

    A pass that has failed may hold some for ever; it was the last one.
    """
    for parameter in parameters:
        is_whole = parameter.ds_status.name == "AVAILABLE"
        if is_whole and not parameter.ds_active_sub_modules:
            parameter.partition()


def _check_shapes(held: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> None:
    for name, value in weights.items():
        if value.shape != held[name].shape:
            raise EngineError(
                f"the weights swapped into {name} must have the shape {list(held[name].shape)}, "
                f"but has {list(value.shape)}"
            )
