"""Sees to it that a network is trained in its own updates, and through its engine.

A network lent to another's update must be frozen and bare: DDP and ZeRO would take the gradients
of that update for their own, ZeRO-0 and ZeRO-1 without a word.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from gsv2.training.engines.engine import EngineError


class OwnUpdates:
    """Watches the passes through one engine."""

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
