"""Probes of what modules really compute in, in the first steps.

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

from gsv2.training.precision.policy import DTYPES, PrecisionError, PrecisionPolicy

LOSSES = "losses"
"""Name of the policy under which the losses themselves stand."""
_COMPUTING = (nn.Linear, nn.Bilinear, _ConvNd)
_NAMES = {dtype: name for name, dtype in DTYPES.items()}


@dataclass(kw_only=True)
class ModulePrecision:
    """Entry of one module in the table: dtypes by name; several are joined with `+`."""

    module: str
    parameters: str
    """Dtype of the parameters, or the buffers of a module without; empty if it has neither."""
    computes_in: str
    """Dtype that the policy says; that of the layers, once they were probed."""
    returns: str = ""
    """Dtype of the output; empty as long as it was not seen."""
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


def planned_precision(
    policy: PrecisionPolicy, trained: Mapping[str, nn.Module]
) -> list[ModulePrecision]:
    """Return the table of what modules will compute in, before they have computed anything.

    Args:
        policy: the policy of a stage.
        trained: trainable -> bare network.
    """
    modules = _modules(policy, trained)
    return [
        ModulePrecision(
            module=name,
            parameters=_parameter_dtypes(modules[name]) if name in modules else "",
            computes_in=dtype,
        )
        for name, dtype in policy.table().items()
    ]


class PrecisionProbes:
    """Hooks on the modules of a stage, from `attach` to `detach`.

    Args:
        trained: trainable -> bare network.
    """

    def __init__(self, policy: PrecisionPolicy, trained: Mapping[str, nn.Module]) -> None:
        self._policy = policy
        self._trained = trained
        self._seen: dict[str, _Seen] = {name: _Seen() for name in policy.table()}
        self._handles: list[RemovableHandle] = []

    def attach(self) -> None:
        """Begin to look."""
        policy = self._policy
        for name, module in _modules(policy, self._trained).items():
            look = _Look(self._seen[name], policy.dtype(name), name in policy.frozen)
            self._handles.append(module.register_forward_hook(look.at_output))
            for path, layer in module.named_modules():
                if isinstance(layer, _COMPUTING):
                    hook = partial(look.at_layer, f"{name}.{path}" if path else name)
                    self._handles.append(layer.register_forward_hook(hook))

    def see(self, losses: Mapping[str, Tensor]) -> None:
        """Look at the loss of an update and its terms, whose sum hides what one computed in.

        Args:
            losses: what it is -> [] tensor.
        """
        seen = self._seen.get(LOSSES)
        if seen is not None:
            wanted = self._policy.dtype(LOSSES)
            for name, value in losses.items():
                if value.is_floating_point() and seen.layers.get(name, wanted) == wanted:
                    seen.layers[name] = value.dtype

    def check(self) -> None:
        """Compare what was seen with the policy.

        Raises:
            PrecisionError: a layer or a loss computed in another dtype; names it and both.
        """
        for name, seen in self._seen.items():
            wanted = self._policy.dtype(name)
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
        table = planned_precision(self._policy, self._trained)
        for entry in table:
            seen = self._seen[entry.module]
            entry.is_probed = bool(seen.layers)
            entry.computes_in = _join(set(seen.layers.values())) or entry.computes_in
            entry.returns = _join(seen.outputs)
        return table


def _modules(policy: PrecisionPolicy, trained: Mapping[str, nn.Module]) -> dict[str, nn.Module]:
    """Return the networks that have a name in the policy."""
    known = policy.table()
    return {n: module for n, module in {**trained, **policy.frozen}.items() if n in known}


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
