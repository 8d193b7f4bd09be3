"""Plain engine, the whole network on every rank: one process, or DistributedDataParallel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import Optimizer

from gsv2.training.distributed.ranks import Distributed
from gsv2.training.engines.contract import EngineContract
from gsv2.training.engines.engine import TrainableState
from gsv2.training.engines.host_copies import HostCopy, copy_to_host
from gsv2.training.engines.module_state import (
    capture_module,
    pending_moment_bytes,
    restore_module,
    trained,
)
from gsv2.training.engines.swapped_weights import swapped_weights


class PlainEngine:
    """Shares gradients in the last backward pass of an update; nothing is sharded."""

    def __init__(
        self, name: str, module: nn.Module, optimizer: Optimizer, distributed: Distributed
    ) -> None:
        """Wrap a network; its weights and buffers become those of the main rank. Collective.

        Args:
            optimizer: optimizer of the module's parameters.
        """
        distributed.share_buffers(module)
        self._contract = EngineContract(name)
        self._module = module
        self._named = dict(module.named_parameters())
        self._parameters = list(self._named.values())
        self._optimizer = optimizer
        self._is_main = distributed.is_main
        self._ddp = _in_ddp(module) if distributed.world > 1 else None
        self._network = module if self._ddp is None else self._ddp
        self._norm: Tensor | None = None
        self.loss_scale = 1.0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the network."""
        return self._contract.watch(self._network(*args, **kwargs))

    def backward(self, loss: Tensor, *, is_last: bool) -> None:
        """Add the gradients of `loss`; with `is_last`, average the sum over the ranks."""
        sharing = _sharing(self._ddp) if is_last and self._ddp is not None else nullcontext()
        with self._contract.backward(), sharing:
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
        self._contract.end()

    def train(self, mode: bool) -> None:
        """Put the network into training or evaluation mode."""
        self._network.train(mode)

    def local_weights(self) -> Mapping[str, Tensor]:
        """Return the parameters."""
        return self._named

    def to_local(self, name: str, whole: Tensor) -> Tensor:
        """Return the whole parameter."""
        return whole

    def to_whole(self, name: str, part: Tensor) -> Tensor:
        """Return the part, which is the whole parameter."""
        return part

    def swapped_weights(self, parts: Mapping[str, Tensor]) -> AbstractContextManager[None]:
        """Point the parameters to other weights inside."""
        return swapped_weights(self._named, parts)

    def pending_moment_bytes(self) -> int:
        """Return what AdamW will take for all parameters that train."""
        return pending_moment_bytes(self._optimizer, trained(self._optimizer))

    def capture(self, copy: HostCopy = copy_to_host) -> TrainableState | None:
        """Return copies of everything, on the main rank."""
        if not self._is_main:
            return None
        return capture_module(self._module, self._optimizer, copy)

    def restore(self, state: TrainableState) -> None:
        """Take weights and moments."""
        restore_module(self._module, self._optimizer, state)


_BUFFER_SYNC = (
    "forward_sync_buffers"
    if "forward_sync_buffers" in signature(DistributedDataParallel.__init__).parameters
    else "broadcast_buffers"
)
"""Name of DDP's switch for sending buffers in every forward pass: torch 2.14 renamed it."""


def _in_ddp(module: nn.Module) -> DistributedDataParallel:
    """Wrap a network so that no backward pass shares gradients unless it is told to.

    Forward and backward passes of a step may lie apart. Buffers are not broadcast in forward
    passes: codebooks are kept equal by their own collectives.
    """
    device = next(module.parameters()).device
    device_ids = [device] if device.type == "cuda" else None
    no_sync: dict[str, Any] = {_BUFFER_SYNC: False}
    ddp = DistributedDataParallel(module, device_ids=device_ids, **no_sync)
    ddp.require_backward_grad_sync = False
    return ddp


@contextmanager
def _sharing(ddp: DistributedDataParallel) -> Iterator[None]:
    """Let the backward pass inside average all gradients so far over the ranks.

    DDP itself decides in the forward pass; its reducer may be told later.
    """
    ddp.require_backward_grad_sync = True
    ddp.reducer.prepare_for_backward([])
    try:
        yield
    finally:
        ddp.require_backward_grad_sync = False
