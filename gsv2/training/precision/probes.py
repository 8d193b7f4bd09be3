"""What modules really compute in, seen in the first steps.

Hooks on every linear and convolutional layer, whose output has the dtype that it computed in
(autocast or not), and on the named modules themselves. They are gone after the first steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.utils.hooks import RemovableHandle

from gsv2.training.precision.policy import DTYPES, PrecisionError
from gsv2.training.stage import Stage, Update

LOSSES = "losses"
"""Name of the policy under which the losses themselves stand."""
_COMPUTING = (nn.Linear, nn.Bilinear, _ConvNd)
_NAMES = {dtype: name for name, dtype in DTYPES.items()}


@dataclass(kw_only=True)
class ModulePrecision:
    """One row of the table: dtypes by name; several are joined with `+`."""

    module: str
    parameters: str
    """Of the parameters, and of the buffers of a module without; empty if it has neither."""
    computes_in: str
    """What the policy says; what the layers did, once they were probed."""
    returns: str = ""
    """Of the output; empty as long as it was not seen."""
    is_probed: bool = False

    def __str__(self) -> str:
        """Say it in a line."""
        parts = [f"parameters {self.parameters}"] if self.parameters else []
        parts.append(f"{'computed' if self.is_probed else 'computes'} in {self.computes_in}")
        parts += [f"returned {self.returns}"] if self.returns else []
        return f"{self.module}: {', '.join(parts)}"


@dataclass
class _Seen:
    layers: dict[str, torch.dtype] = field(default_factory=dict)
    """Name of a layer -> what it computed in; of several, one that the policy does not want."""
    outputs: set[torch.dtype] = field(default_factory=set)


class _Look(NamedTuple):
    """The hooks of one named module; they see training only, for validation may differ."""

    seen: _Seen
    wanted: torch.dtype
    is_frozen: bool

    def at_output(self, module: nn.Module, inputs: Any, output: Any) -> None:
        if module.training or self.is_frozen:
            self.seen.outputs.update(tensor.dtype for tensor in _floats(output))

    def at_layer(self, name: str, layer: nn.Module, inputs: Any, output: Any) -> None:
        is_seen = isinstance(output, Tensor) and (layer.training or self.is_frozen)
        if is_seen and self.seen.layers.get(name, self.wanted) == self.wanted:
            self.seen.layers[name] = output.dtype


def planned_precision(stage: Stage) -> list[ModulePrecision]:
    """Return the table of what a stage will compute in, before it has computed anything."""
    modules = _modules(stage)
    return [
        ModulePrecision(
            module=name,
            parameters=_parameter_dtypes(modules[name]) if name in modules else "",
            computes_in=dtype,
        )
        for name, dtype in stage.precision.table().items()
    ]


class PrecisionProbes:
    """Hooks on the modules of a stage, from `attach` to `detach`."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._seen: dict[str, _Seen] = {name: _Seen() for name in stage.precision.table()}
        self._handles: list[RemovableHandle] = []

    def attach(self) -> None:
        """Begin to look."""
        policy = self._stage.precision
        for name, module in _modules(self._stage).items():
            look = _Look(self._seen[name], policy.dtype(name), name in policy.frozen)
            self._handles.append(module.register_forward_hook(look.at_output))
            for path, layer in module.named_modules():
                if isinstance(layer, _COMPUTING):
                    hook = partial(look.at_layer, f"{name}.{path}" if path else name)
                    self._handles.append(layer.register_forward_hook(hook))

    def see(self, update: Update) -> None:
        """Look at the loss of an update, and at its terms: their sum hides what one computed in."""
        seen = self._seen.get(LOSSES)
        if seen is not None:
            wanted = self._stage.precision.dtype(LOSSES)
            terms = {f"the loss of {update.trainable}": update.loss, **update.metrics}
            for name, value in terms.items():
                if value.is_floating_point() and seen.layers.get(name, wanted) == wanted:
                    seen.layers[name] = value.dtype

    def check(self) -> None:
        """Compare what was seen with the policy.

        Raises:
            PrecisionError: a layer or a loss computed in another dtype; names it and both.
        """
        for name, seen in self._seen.items():
            wanted = self._stage.precision.dtype(name)
            for layer, dtype in seen.layers.items():
                if dtype != wanted:
                    raise PrecisionError(
                        f"precision.{name} is {_NAMES[wanted]}, but {layer} computed in "
                        f"{_NAMES.get(dtype, dtype)}; the policy does not reach it"
                    )

    def detach(self) -> None:
        """Look no longer; nothing is left that costs anything."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def table(self) -> list[ModulePrecision]:
        """Return the table of what was seen; of modules without such layers, of the plan."""
        rows = planned_precision(self._stage)
        for row in rows:
            seen = self._seen[row.module]
            row.is_probed = bool(seen.layers)
            row.computes_in = _join(set(seen.layers.values())) or row.computes_in
            row.returns = _join(seen.outputs)
        return rows


def _modules(stage: Stage) -> dict[str, nn.Module]:
    """Return the networks that have a name in the policy."""
    named = {name: trainable.module for name, trainable in stage.trainables.items()}
    known = stage.precision.table()
    return {n: module for n, module in {**named, **stage.precision.frozen}.items() if n in known}


def _floats(value: Any) -> Iterator[Tensor]:
    """Yield the floating tensors of a network's output."""
    if isinstance(value, Tensor):
        if value.is_floating_point():
            yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _floats(item)
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _floats(item)


def _parameter_dtypes(module: nn.Module) -> str:
    stored = {p.dtype for p in module.parameters()} or {b.dtype for b in module.buffers()}
    return _join({dtype for dtype in stored if dtype.is_floating_point})


def _join(dtypes: set[torch.dtype]) -> str:
    return "+".join(sorted(_NAMES.get(d, str(d).removeprefix("torch.")) for d in dtypes))
