"""Contract of an update: it trains its own network, all of it, and through its engine alone.

A network lent to another's update must be frozen and bare: DDP and ZeRO would take the gradients
of that update for their own, ZeRO-0 and ZeRO-1 without a word. What passes through an engine is
checked in every step; which parameters are reached, in the first one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves
from torch.utils.hooks import RemovableHandle

from gsv2.training.engines.engine import EngineError


class StageError(RuntimeError):
    """A stage that breaks the contract of `gsv2.training.stage`."""


class EngineContract:
    """Checks the passes through one engine.

    Args:
        name: trainable that the engine runs.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._num_passes = 0
        self._is_own = False

    def watch(self, output: Any) -> Any:
        """Return `output` of a forward pass; gradients reach it in own updates only."""
        if torch.is_grad_enabled():
            self._num_passes += 1
            for leaf in tree_leaves(output):
                if isinstance(leaf, Tensor) and leaf.requires_grad:
                    leaf.register_hook(self._check)
        return output

    @contextmanager
    def backward(self) -> Iterator[None]:
        """Enclose a backward pass of an own update.

        Raises:
            EngineError: the network has not run through its engine since the last step.
        """
        if not self._num_passes:
            raise EngineError(
                f"{self._name} is updated, but did not run through its engine: call the trainable, "
                "not its module"
            )
        self._is_own = True
        try:
            yield
        finally:
            self._is_own = False

    def end(self) -> None:
        """Note that the gradients of the passes so far are used up."""
        self._num_passes = 0

    def _check(self, gradient: Tensor) -> None:
        if not self._is_own:
            raise EngineError(
                f"the update of another network sends gradients through {self._name}'s engine; "
                f"use {self._name} inside `frozen()` there, or detach what it returned"
            )


class GradientContract:
    """Checks which parameters the updates of a step reach, by hooks, until it is closed.

    ZeRO takes gradients away as they come, so `parameter.grad` tells nothing.

    Args:
        modules: trainable -> bare network.
    """

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        self._reached: set[tuple[str, str]] = set()
        self._trained: dict[str, list[str]] = {}
        self._handles: list[RemovableHandle] = []
        for name, module in modules.items():
            self._trained[name] = []
            for key, parameter in module.named_parameters():
                if parameter.requires_grad:
                    self._trained[name].append(key)
                    self._handles.append(parameter.register_hook(self._note(name, key)))

    def check(self, name: str) -> None:
        """Check that an update has trained all of its own network and nothing of the others.

        Raises:
            StageError: names a parameter.
        """
        for other, key in sorted(self._reached):
            if other != name:
                raise StageError(
                    f"the update of {name} sent a gradient to {other}.{key}; "
                    "use the other network inside `frozen()`, or detach"
                )
        for key in self._trained[name]:
            if (name, key) not in self._reached:
                raise StageError(f"{name}: parameter {key} got no gradient; drop or freeze it")
        self._reached.clear()

    def close(self) -> None:
        """Look no longer."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def _note(self, name: str, key: str) -> Callable[[Tensor], None]:
        def hook(gradient: Tensor) -> None:
            self._reached.add((name, key))

        return hook
