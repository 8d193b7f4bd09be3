"""Weight norms folded into weights, as HiFi-GAN's are where it only speaks.

A folded network computes the same without taking norms in every pass; it cannot be trained on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from torch import nn
from torch.nn.utils import parametrize

ModuleT = TypeVar("ModuleT", bound=nn.Module)
ConfigT = TypeVar("ConfigT")
_PARAMETRIZED = ".parametrizations."


def fold_weight_norms(module: ModuleT) -> ModuleT:
    """Replace norm and direction of every weight by their product; returns the module."""
    for layer in module.modules():
        if parametrize.is_parametrized(layer, "weight"):
            parametrize.remove_parametrizations(layer, "weight")
    return module


def is_folded(names: Iterable[str]) -> bool:
    """Tell from the names of its tensors whether a network is folded."""
    return not any(_PARAMETRIZED in name for name in names)


def layout_of(
    network: Callable[[ConfigT], ModuleT], names: Iterable[str]
) -> Callable[[ConfigT], ModuleT]:
    """Return what builds a network with tensors of such names: folded, or to train on."""
    return (lambda config: fold_weight_norms(network(config))) if is_folded(names) else network
