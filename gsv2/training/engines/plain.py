"""The whole network on every rank: one process, or DistributedDataParallel."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import Optimizer

from gsv2.training.checkpoints.host_copies import Hold, copy_to_host
from gsv2.training.engines.lending import lent
from gsv2.training.engines.module_state import capture_module, restore_module
from gsv2.training.engines.own_updates import OwnUpdates
from gsv2.training.engines.trainable_state import TrainableState


class PlainEngine:
    """Shares gradients in the last backward pass of an update; nothing is sharded."""

    def __init__(
        self, name: str, module: nn.Module, optimizer: Optimizer, accelerator: Accelerator
    ) -> None:
        """Wrap a network whose buffers are equal on all ranks. Collective.

        Args:
            name: of the trainable.
            module: on its device.
            optimizer: of the module's parameters.
            accelerator: that opened the process group, if there is one.
        """
        self._updates = OwnUpdates(name)
        self._module = module
        self._parameters = list(module.parameters())
        self._optimizer = optimizer
        self._accelerator = accelerator
        self._wrapped: nn.Module = accelerator.prepare_model(module)
        self._norm: Tensor | None = None
        self.loss_scale = 1.0
        if self._wrapped is not module:
            # Forward and backward passes of a step may lie apart: `backward` alone decides.
            self._wrapped.require_backward_grad_sync = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the network."""
        return self._updates.watch(self._wrapped(*args, **kwargs))

    def backward(self, loss: Tensor, *, is_last: bool) -> None:
        """Add the gradients of `loss`; with `is_last`, average the sum over the ranks."""
        sync: AbstractContextManager[Any] = nullcontext()
        if is_last and self._wrapped is not self._module:
            sync = self._accelerator.trigger_sync_in_backward(self._wrapped)
        with self._updates.backward(), sync:
            (loss if self.loss_scale == 1.0 else loss * self.loss_scale).backward()

    def grad_norm(self) -> Tensor:
        """Return the norm before clipping."""
        gradients = [p.grad for p in self._parameters if p.grad is not None]
        if self.loss_scale != 1.0:
            torch._foreach_mul_(gradients, 1.0 / self.loss_scale)
        self._norm = get_total_norm(gradients)
        return self._norm

    def step(self, max_norm: float) -> None:
        """Clip by the norm that `grad_norm` found, and step."""
        assert self._norm is not None, "grad_norm comes before step"
        clip_grads_with_norm_(self._parameters, max_norm, self._norm)
        self._optimizer.step()
        self.skip()

    def skip(self) -> None:
        """Forget the gradients."""
        self._optimizer.zero_grad(set_to_none=True)
        self._norm = None
        self._updates.end()

    def train(self, mode: bool) -> None:
        """Put the network into training or evaluation mode."""
        self._wrapped.train(mode)

    def gathered(self) -> AbstractContextManager[None]:
        """Return a context that does nothing."""
        return nullcontext()

    def lent(self, weights: Mapping[str, Tensor]) -> AbstractContextManager[None]:
        """Point the parameters to other weights inside."""
        return lent(self._module, weights)

    def capture(self, hold: Hold = copy_to_host) -> TrainableState | None:
        """Return copies of everything, on the main rank."""
        if not self._accelerator.is_main_process:
            return None
        return capture_module(self._module, self._optimizer, hold)

    def restore(self, state: TrainableState) -> None:
        """Take weights and moments."""
        restore_module(self._module, self._optimizer, state)
