"""Initial weights of a network, taken from another's: what fits is taken, all else is named."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

_ADAPTED = ".base_layer."
"""What peft puts into the names of layers that have an adapter."""
_NUMBER = re.compile(r"\.(\d+)\.")


class TakenWeights(NamedTuple):
    """What became of the parameters of a network, and of the tensors that were offered to it."""

    taken: tuple[str, ...]
    """Parameters that now are those of the source."""
    missing: tuple[str, ...]
    """Parameters that the source does not have; they stay as they were."""
    unfit: tuple[str, ...]
    """`NAME [shape here], [shape there]` of those that have another shape there; they stay too."""
    unused: tuple[str, ...]
    """Tensors of the source that the network has no parameter for."""

    def lines(self) -> Iterator[str]:
        """Yield a line for each of the four kinds that there are, with every name."""
        words = {
            "taken": "taken",
            "missing": "not in the source, start afresh",
            "unfit": "of another shape, start afresh",
            "unused": "of the source not used",
        }
        for kind, word in words.items():
            names: tuple[str, ...] = getattr(self, kind)
            if names:
                yield f"{len(names)} {word}: {', '.join(fold_numbers(names))}"


def take_weights(
    module: nn.Module, source: Mapping[str, Tensor], *, where: str, slices: Iterable[str] = ()
) -> TakenWeights:
    """Copy tensors into the parameters of a network that have their names and shapes.

    Buffers are left alone: they hold what the network was told, as the codebooks of its quantizer.

    Args:
        module: network whose parameters are whole.
        source: name of a parameter -> tensor, of any floating type.
        where: config key and file of the source, for messages.
        slices: parameters that may have fewer rows than there, and take the first ones.

    Raises:
        ValueError: nothing fits, or a tensor that would be taken is not finite.
    """
    parameters = {name.replace(_ADAPTED, "."): p for name, p in module.named_parameters()}
    buffers = {name for name, _ in module.named_buffers()}
    found = {
        name: _fitting(source[name], parameters[name], name in slices)
        for name in parameters
        if name in source
    }
    fitting = {name: tensor for name, tensor in found.items() if tensor is not None}
    unfit = tuple(
        f"{name} {[*parameters[name].shape]}, {[*source[name].shape]}"
        for name in found
        if name not in fitting
    )
    if not fitting:
        raise ValueError(_nothing_fits(where, unfit, parameters))
    for name, tensor in fitting.items():
        if not bool(tensor.isfinite().all()):
            raise ValueError(f"{where}: {name} holds NaN or infinite values")
    with torch.no_grad():
        for name, tensor in fitting.items():
            parameters[name].copy_(tensor)
    return TakenWeights(
        taken=tuple(fitting),
        missing=tuple(name for name in parameters if name not in source),
        unfit=unfit,
        unused=tuple(n for n in source if n not in parameters and n not in buffers),
    )


def fold_numbers(names: Iterable[str]) -> list[str]:
    """Return names with those that differ by one number of a layer as one: `layers.{0-23}.norm`."""
    groups: dict[str, list[int]] = {}
    for name in names:
        found = _NUMBER.search(name)
        folded = name if found is None else _NUMBER.sub(".{}.", name, count=1)
        groups.setdefault(folded, []).extend([] if found is None else [int(found[1])])
    return [
        name.replace("{}", _ranges(numbers), 1) if numbers else name
        for name, numbers in groups.items()
    ]


def _ranges(numbers: list[int]) -> str:
    """Return ascending numbers as `{0-3,7}`; one alone without braces."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    text = ",".join(f"{first}-{last}" if last > first else str(first) for first, last in runs)
    return text if len(numbers) == 1 else f"{{{text}}}"


def _fitting(tensor: Tensor, parameter: Tensor, may_slice: bool) -> Tensor | None:
    """Return what of a tensor a parameter takes; None if it does not fit."""
    if may_slice and tensor.ndim == parameter.ndim and len(tensor) > len(parameter):
        tensor = tensor[: len(parameter)]
    return tensor if tensor.shape == parameter.shape else None


def _nothing_fits(where: str, unfit: tuple[str, ...], parameters: Mapping[str, Tensor]) -> str:
    if unfit:
        return f"{where}: no tensor fits; {len(unfit)} have another shape here, such as {unfit[0]}"
    example = next(iter(parameters), "none")
    return f"{where}: no tensor has the name of a parameter here, such as {example}"
