"""Frozen modules: parts of a network, by name, that training leaves as they are."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from torch import nn


def freeze_modules(network: nn.Module, names: Sequence[str], key: str) -> None:
    """Switch off the gradients of modules, or of single parameters, of a network.

    Args:
        network: network that trains otherwise.
        names: such as `backbone`, `backbone.layers.0`, `text_start`.
        key: config key that named them.

    Raises:
        ValueError: a name that is none of the network's, one without parameters, or nothing is
            left to train.
    """
    parameters = dict(network.named_parameters())
    for name in names:
        below = [p for path, p in parameters.items() if is_part(path, name)]
        if not below:
            raise ValueError(unknown_part(network, name, key))
        for parameter in below:
            parameter.requires_grad_(False)
    if names and not any(parameter.requires_grad for parameter in parameters.values()):
        raise ValueError(f"{key} must leave something to train, but {', '.join(names)} is all")


def is_part(path: str, name: str) -> bool:
    """Tell whether a parameter's name is `name` or lies below it."""
    return path == name or path.startswith(f"{name}.")


def unknown_part(network: nn.Module, name: str, key: str) -> str:
    """Return what to say of a name that no module with parameters has, with the nearest ones."""
    paths = [path.split(".") for path, _ in network.named_parameters()]
    known = {".".join(path[:depth]) for path in paths for depth in range(1, len(path) + 1)}
    near = difflib.get_close_matches(name, sorted(known), n=3)
    there = near or sorted({path[0] for path in paths})
    return (
        f"{key} must name modules or parameters of the network, but has {name!r}; "
        f"there are {', '.join(there)}"
    )
